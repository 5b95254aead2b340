// Which part of a long sequence a row sees: the first tokens, the last ones, and the blocks of those between whose keys its
// own queries find best. Every row and every key head choose for themselves, so that a row depends on its own tokens only.
//
// Keys are looked through as int8, and only the quarter of their channels that turns slowest with the position, packed like a
// matrix of matrix.h whose channels are slots: a sixteenth of what reading keys and values in bfloat16 takes.
#pragma once

#include "attention.h"
#include "linear.h"

static_assert(KEYS == LANES, "a block of keys is a block of channels");

// In tokens; all but `from` and `trained` are multiples of KEYS, and a tree is less deep than a window is long.
struct Choice {
    int32_t from;     // rows at this position and behind it choose
    int32_t sink, chosen, window, far_window;
    int32_t trained;  // rows at this position and behind it draw near what is in front of their window, into three quarters of this length

    // Of a row that sees `seen` positions: the first one of its window, and how many have room in front of it.
    int window_start(int seen) const { return (seen - (seen > trained ? far_window : window)) / KEYS * KEYS; }
    int room(int seen) const { return seen > trained ? trained / 4 * 3 : seen; }
};

constexpr int STRETCH = 512 / KEYS;  // blocks that are drawn near by the same while they are looked through

// How many channels of a head are looked through; a multiple of 8.
static inline int code_size(int size) { return (size + 31) / 32 * 8; }

// Those channels of a head; the last of both halves: pairs of channels are half a head apart (Hugging Face's order).
static inline void slow_channels(const float* head, int size, float* to) {
    const int count = code_size(size) / 2;
    std::copy_n(head + size / 2 - count, count, to);
    std::copy_n(head + size - count, count, to + count);
}

// The keys of one key head of a sequence.
struct Codes {
    uint8_t* values;  // [slots / 16][code size / 4][16][4], plus 128
    float* scales;    // of each slot
    int size;         // of a code

    uint8_t* at(int slot) const { return values + (size_t)(slot / KEYS) * KEYS * size + slot % KEYS * 4; }

    void put(const float* key, int head_size, int slot) const {
        std::vector<float> slow(size);
        slow_channels(key, head_size, slow.data());
        const float peak = peak_of(slow.data(), size), factor = peak > 0.0f ? 127.0f / peak : 0.0f;
        for (int k = 0; k < size; k++) at(slot)[k / 4 * 4 * KEYS + k % 4] = (uint8_t)((int)std::nearbyint(slow[k] * factor) + 128);
        scales[slot] = peak / 127.0f;
    }

    void move(int from, int to) const {
        for (int k = 0; k < size; k += 4) std::memcpy(at(to) + k * KEYS, at(from) + k * KEYS, 4);
        scales[to] = scales[from];
    }
};

// A row's queries of one key head, rotated, and what it looks through.
struct Search {
    const float* const* queries;
    int group, head_size;
    Codes codes;
    const float *cosines, *sines;
};

// Raises votes[block] to the best score of `R` rows of the product, from `row` on.
template <int R, int B>
static void vote_blocks(const Product& product, int row, int from, int to, float* votes) {
    int block = from;
    const size_t block_bytes = (size_t)product.matrix.columns * KEYS;
    for (; block + B <= to; block += B) {
        const char* ahead = (const char*)product.matrix.data + block * block_bytes + 4096;  // what the processor foresees by itself comes late
        for (size_t byte = 0; byte < B * block_bytes; byte += 64) __builtin_prefetch(ahead + byte);
        Int8::Sums sums[B][R];
        Int8::multiply<R, B>(product, block, row, sums);
        for (int b = 0; b < B; b++) {
            f32x8 high = splat(votes[block + b]);
            for (int r = 0; r < R; r++) {
                f32x8 halves[2];
                Int8::finish(sums[b][r], product, (block + b) * LANES, row + r, halves);
                high = larger(high, larger(halves[0], halves[1]));
            }
            votes[block + b] = largest(high);
        }
    }
    if constexpr (B > 1) vote_blocks<R, 1>(product, row, block, to, votes);
}

#if defined(MEMBERWISE_VNNI)
// The same, bit by bit, where queries have so many fours of columns, which share a scale: they stay in registers.
template <int R, int FOURS>
static void vote_blocks_of(const Product& product, int row, int from, int to, float* votes) {
    static_assert(FOURS * 4 <= Int8::group);
    constexpr int columns = FOURS * 4;
    Integers queries[R * FOURS];
    times<R * FOURS>([&](auto i) INLINE { queries[i] = integers(load<int32_t>((const Int8::Row*)product.rows + (row + i / FOURS) * columns + i % FOURS * 4)); });
    for (int block = from; block < to; block++) {
        const uint8_t* codes = (const uint8_t*)product.matrix.data + (size_t)block * columns * KEYS;
        Integers sums[R];
        times<R>([&](auto r) INLINE { sums[r] = integers(product.row_starts[row + r]); });
        times<FOURS>([&](auto four) INLINE {
            __builtin_prefetch(codes + 4096 + four * 64);
            const Integers here = four_columns(codes + four * 64);
            times<R>([&](auto r) INLINE { sums[r] = add_products(sums[r], here, queries[r * FOURS + four]); });
        });
        Floats high = _mm512_set1_ps(-INFINITY);
        times<R>([&](auto r) INLINE { high = _mm512_max_ps(high, _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r]), _mm512_set1_ps(product.row_scales[row + r]))); });
        high = _mm512_mul_ps(high, _mm512_loadu_ps(product.matrix.scale + block * KEYS));  // no scale is below 0
        votes[block] = std::max(votes[block], _mm512_reduce_max_ps(high));
    }
}
#endif

// votes[block]: the best score of a query with a key of the blocks [from, to), the queries turned back by `positions`.
static void vote(const Search& search, int from, int to, int positions, float* votes) {
    const int size = search.codes.size, group = search.group, groups = Int8::groups(size);
    std::vector<Int8::Row> rows((size_t)group * size);
    std::vector<float> scales((size_t)group * groups), turned(search.head_size), slow(size);
    std::vector<int32_t> starts((size_t)group * groups);
    for (int query = 0; query < group; query++) {
        turn_back(search.queries[query], search.cosines, search.sines, positions, search.head_size, turned.data());
        slow_channels(turned.data(), search.head_size, slow.data());
        Int8::quantise_row(slow.data(), &rows[(size_t)query * size], &scales[query * groups], &starts[query * groups], size);
    }
    const Matrix matrix{search.codes.values, search.codes.scales, nullptr, to * KEYS, size};
    const Product product{matrix, rows.data(), scales.data(), starts.data(), nullptr, 0, group, false};
    std::fill(votes + from, votes + to, -INFINITY);
#if defined(MEMBERWISE_VNNI)
    if (size == 16 || size == 32)  // of heads of 64 and of 128 channels
        return in_tiles<Int8::rows_at_once(true)>(group, [&](auto r, int row) {
            if (size == 16) vote_blocks_of<r.value, 4>(product, row, from, to, votes);
            else vote_blocks_of<r.value, 8>(product, row, from, to, votes);
        });
#endif
    in_tiles<Int8::rows_at_once(true)>(group, [&](auto r, int row) { vote_blocks<r.value, Int8::blocks_at_once(r.value, true)>(product, row, from, to, votes); });
}

// The `wanted`th of some numbers, the largest first, none of them NaN: bit by bit, by counting, which is done in vectors.
static float nth_largest(const std::vector<float>& numbers, int wanted) {
    std::vector<uint32_t> ordered(numbers.size());  // as the numbers are
    for (size_t i = 0; i < numbers.size(); i++) {
        const uint32_t bits = load<uint32_t>(&numbers[i]);
        ordered[i] = bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
    }
    uint32_t found = 0;
    for (int bit = 31; bit >= 0; bit--) {
        const uint32_t least = found | 1u << bit;
        int count = 0;
        for (const uint32_t one : ordered) count += one >= least;
        if (count >= wanted) found = least;
    }
    const uint32_t bits = found ^ (found >> 31 ? 0x80000000u : 0xffffffffu);
    return load<float>(&bits);
}

// The blocks in front of the window of a row that sees `seen` positions, ascending; none where it sees everything.
//
// Behind the trained length keys are looked through in stretches, each drawn near as its middle is.
static std::vector<int> choose_blocks(const Choice& choice, int seen, const Search& search) {
    const int start = choice.window_start(seen), first = choice.sink / KEYS, end = start / KEYS, wanted = choice.chosen / KEYS, count = end - first;
    std::vector<int> blocks;
    if (count <= wanted) return blocks;
    std::vector<float> votes(end);
    for (int to = end, from; to > first; to = from) {
        from = seen <= choice.trained ? first : std::max(first, to - STRETCH);
        vote(search, from, to, drawn_near(start - (from + to) / 2 * KEYS, start, choice.room(seen)), votes.data());
    }
    votes.erase(votes.begin(), votes.begin() + first);
    const float least = nth_largest(votes, wanted);
    int equal = wanted - (int)std::count_if(votes.begin(), votes.end(), [&](float vote) { return vote > least; });
    for (int block = 0; block < first; block++) blocks.push_back(block);
    for (int block = 0; block < count; block++)
        if (votes[block] > least || (votes[block] == least && equal-- > 0)) blocks.push_back(first + block);  // of equals the first
    return blocks;
}
