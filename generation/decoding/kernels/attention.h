// Grouped-query attention of new rows over a cache of keys and values.
//
// A row sees a run of positions; where each lies in the cache is a slot. Positions that are committed lie in order, the
// nodes of a tree lie behind them. Sums run over *positions*, in their order, so a row's result does not depend on
// where a tree put its ancestors nor on which rows are computed beside it.
//
// Start reading at `attend`.
#pragma once

#include "fixed.h"
#include "query_tiles.h"

#include <algorithm>
#include <vector>

constexpr int QUERIES = WIDE == 16 ? 12 : 6;  // queries that share a load

// Where the positions that a row sees lie: the first `leading` of them in blocks of KEYS slots, which `blocks` counts; up
// to `run` each is `skipped` slots behind its number; the others lie at `tail`. Without a choice all run from slot 0.
struct Sight {
    int count;
    int run;
    const int* tail;
    int leading = 0, skipped = 0;  // multiples of KEYS
    const int* blocks = nullptr;
    int room = 0;                                      // positions that those in front of the run are taken to lie within, by turning queries
    const float *cosines = nullptr, *sines = nullptr;  // to turn them; null leaves them

    int slot(int position) const {
        if (position >= run) return tail[position - run];
        return position < leading ? blocks[position / KEYS] * KEYS + position % KEYS : position + skipped;
    }
};

// ------------------------------------------------------------------------------------------------ scores

// What queries and weights are multiplied as: numbers of a cache that are pairs of bfloat16 are taken apart for float, unless
// the processor adds the products of both at once. Then queries and weights are rounded, as they are for tiles; or all are integers.
#if defined(MEMBERWISE_PAIRS) || defined(MEMBERWISE_FIXED)
template <class KV>
using Factor = KV;
#else
template <class KV>
using Factor = float;
#endif

// In how many parts a pair is multiplied. Factors of a part take 32 bits.
template <class KV>
constexpr int PARTS = std::is_same<Factor<KV>, float>::value ? 2 : 1;

// What weights are before they are factors; integers are made of them later (fixed.h).
template <class KV>
using Weight = typename std::conditional<SCALED<KV>, float, Factor<KV>>::type;

// A part of a row of `length` pairs, from pair `n` on.
template <class V>
[[gnu::always_inline]] static inline V load_part(const float* row, int length, int part, int n) {
    return load<V>(row + part * length + n);
}

template <class V>
[[gnu::always_inline]] static inline V load_part(const bfloat16* row, int, int part, int n) {
    typedef typename std::conditional<sizeof(V) == 64, u32x16, u32x8>::type Bits;
    const Bits both = load<Bits>(row + 2 * n);
    if constexpr (PARTS<bfloat16> == 1) return (V)both;
    else return (V)(part ? both & 0xffff0000u : both << 16);
}

template <class V>
[[gnu::always_inline]] static inline V load_part(const fixed16* row, int, int, int n) {
    return load<V>(row + 2 * n);
}

// The sum and a part times its factors; of fixed16 the sum is of integers.
template <class KV, class V>
[[gnu::always_inline]] static inline V add_part(V sum, V part, V factors) {
#if defined(MEMBERWISE_PAIRS)
    if constexpr (PARTS<KV> == 1) return add_pairs(sum, part, factors);
#elif defined(MEMBERWISE_FIXED)
    if constexpr (SCALED<KV>) return add_fixed_pairs(sum, part, factors);
#endif
    return accumulated(part, factors, sum);
}

// Queries as [parts of a head][Q]: with a pointer for each query there are more pointers than registers, and every factor takes two loads.
template <class KV, int Q>
struct PackedQueries {
    std::vector<float> parts;
    float scales[Q];  // fixed16 only

    void pack(const float* const* queries, int size) {
        constexpr int together = 2 / PARTS<KV>;  // numbers of a part
        parts.resize((size_t)size * Q);
        float factors[Q];
        if constexpr (SCALED<KV>)
            for (int q = 0; q < Q; q++) {
                const float length = length_of(queries[q], size);
                factors[q] = to_fixed(length), scales[q] = length / FIXED * 1.44269504f;  // weights are powers of two
            }
        for (int d = 0; d < size; d++)
            times<Q>([&](auto q) INLINE { put((Factor<KV>*)(&parts[d / together * Q + q]) + d % together, SCALED<KV> ? queries[q][d] * factors[q] : queries[q][d]); });
    }
};

// A query as it would be so many positions earlier. Tables may hold a factor, which is none of a turn.
static void turn_back(const float* query, const float* cosines, const float* sines, int positions, int size, float* to) {
    const float factor = 1.0f / cosines[0];  // of position 0
    cosines += (size_t)positions * (size / 2), sines += (size_t)positions * (size / 2);
    for (int d = 0; d < size / 2; d++) {
        const float cosine = cosines[d] * factor, sine = sines[d] * factor, real = query[d], imaginary = query[d + size / 2];
        to[d] = real * cosine + imaginary * sine;
        to[d + size / 2] = imaginary * cosine - real * sine;
    }
}

// By how many positions nearer than `far`, of `all` in front of the run, a key is taken to be: in proportion, so that all have room.
static int drawn_near(int far, int all, int room) { return std::max(0, far - (int)((int64_t)far * room / all)); }

// Queries as `block` of the blocks of a sight sees them; `turned` has room for them.
static const float* const* seen_from(const Sight& sight, int block, const float* const* queries, int count, int size, std::vector<float>& turned, std::vector<const float*>& pointers) {
    if (!sight.cosines || block * KEYS >= sight.leading) return queries;
    const int all = sight.leading + sight.skipped, back = drawn_near(all - sight.blocks[block] * KEYS, all, sight.room);
    turned.resize((size_t)count * size), pointers.resize(count);
    for (int q = 0; q < count; q++) {
        turn_back(queries[q], sight.cosines, sight.sines, back, size, &turned[(size_t)q * size]);
        pointers[q] = &turned[(size_t)q * size];
    }
    return pointers.data();
}

// scores[q][16 b + key] of B blocks. Those `ahead`, as many, are fetched beside them; null where the processor foresees them.
template <int B, int Q, class KV>
[[gnu::always_inline]] static inline void score_blocks(const PackedQueries<KV, Q>& queries, const KV* const* blocks, const KV* const* ahead, int size, float* scores, size_t stride) {
    constexpr int vectors = KEYS / WIDE, width = B * vectors;
    const float* packed = queries.parts.data();
    wide sums[Q * width];
    times<Q * width>([&](auto i) INLINE { sums[i] = wide{}; });
    for (int pair = 0; pair < size / 2; pair++) {
        const size_t here = (size_t)pair * 2 * KEYS;
        if (ahead) times<B>([&](auto b) INLINE { __builtin_prefetch(ahead[b] + here, 0, 2); });
        times<PARTS<KV>>([&](auto part) INLINE {
            wide keys[width];
            times<width>([&](auto i) INLINE { keys[i] = load_part<wide>(blocks[i / vectors] + here, KEYS, part, i % vectors * WIDE); });
            times<Q>([&](auto q) INLINE {
                const wide x = spread<wide>(packed + (PARTS<KV> * pair + part) * Q + q);
                times<width>([&](auto i) INLINE { sums[q * width + i] = add_part<KV>(sums[q * width + i], keys[i], x); });
            });
        });
    }
    times<Q * width>([&](auto i) INLINE {
        wide found = sums[i];
        if constexpr (SCALED<KV>) {
            const float* scales = KeyHead<KV>::scales(blocks[i % width / vectors], size) + i % vectors * WIDE;
            found = as_floats(sums[i]) * (load<wide>(scales) * queries.scales[i / width]);
        }
        store(scores + i / width * stride + i % width * WIDE, found);
    });
}

// Blocks that do not follow each other are not foreseen by the processor.
template <class KV>
static inline void fetch(const KV* block, int size) {
    for (size_t byte = 0; byte < sizeof(KV) * KeyHead<KV>::block_numbers(size); byte += 64) __builtin_prefetch((const char*)block + byte, 0, 2);
}

// What is seen of a key head, in blocks. Keys lie where they are; values in the order of positions, those of a tree copied.
template <class KV>
struct Seen {
    std::vector<const KV*> keys;
    std::vector<ValueBlock<KV>> values;
    std::vector<KV> copies;
    int leading;  // blocks that were chosen
    int head_size;

    Seen(const KeyHead<KV>& head, const Sight& sight, int slots_used) : leading(sight.leading / KEYS), head_size(head.size) {
        const int direct = sight.tail ? sight.run / KEYS : (sight.count + KEYS - 1) / KEYS, end = (sight.count + KEYS - 1) / KEYS;
        keys.reserve(slots_used / KEYS + 1), values.reserve(end);
        for (int block = 0; block * KEYS + (block < leading ? 0 : sight.skipped) < slots_used; block++) {
            const size_t offset = head.block(block < leading ? sight.blocks[block] * KEYS : block * KEYS + sight.skipped);
            keys.push_back(head.keys + offset);
            if (block < direct) values.push_back({head.values + offset, block * KEYS});
        }
        copies.resize((end - direct) * KeyHead<KV>::block_numbers(head.size));
        const KeyHead<KV> copy{nullptr, copies.data(), head.size};
        for (int block = direct; block < end; block++) values.push_back({copies.data() + copy.block((block - direct) * KEYS), block * KEYS});
        for (int position = direct * KEYS; position < sight.count; position++) copy.move_value(head, sight.slot(position), position - direct * KEYS);
    }

    void fetch_keys(int from, int to) const {
        for (int block = from; block < std::min(to, leading); block++) fetch(keys[block], head_size);
    }

    // Values of chosen blocks that none of `count` queries gives a share of its weights worth reading them for.
    template <class Number>
    void leave_out(const float* weights, size_t stride, const float* totals, int count) {
        typedef typename std::conditional<std::is_same<Number, bfloat16>::value, uint16_t, float>::type Ordered;  // bits of bfloat16 are ordered as their values
        constexpr float share = 1.0f / 4096;
        const auto worth = [&](int position) {
            for (int query = 0; query < count; query++) {
                Number rounded;
                put(&rounded, totals[query] * share);
                const Ordered least = load<Ordered>(&rounded), *own = (const Ordered*)(weights + query * stride) + position;
                bool any = false;
                for (int key = 0; key < KEYS; key++) any |= own[key] >= least;
                if (any) return true;
            }
            return false;
        };
        int kept = 0;
        for (int block = 0; block < (int)values.size(); block++) {
            if (block < leading && !worth(values[block].position)) continue;
            if (block < leading) fetch(values[block].values, head_size);
            values[kept++] = values[block];
        }
        values.resize(kept);
    }
};

// scores[q][column] of Q queries: column c is the slot of a block, in the order of `seen.keys`.
template <int Q, class KV>
static void score_keys(const float* const* queries, const Seen<KV>& seen, const Sight& sight, int size, float* scores, size_t stride) {
    constexpr int B = WIDE < 16 ? 1 : Q <= 6 ? 4 : 2;  // sums, keys and a factor fit the registers
    const int count = (int)seen.keys.size();
    PackedQueries<KV, Q> packed;
    std::vector<float> turned;
    std::vector<const float*> pointers;
    packed.pack(queries, size);
    for (int block = 0; block < count;) {
        const bool turns = sight.cosines && block <= seen.leading;
        if (turns) packed.pack(seen_from(sight, block, queries, Q, size, turned, pointers), size);
        const bool some = block + B <= count && !(sight.cosines && block < seen.leading);
        const auto score = [&](auto together) {
            const KV* const* keys = &seen.keys[block];
            const bool foreseen = together == 1 && block >= seen.leading;  // one stream
            score_blocks<together>(packed, keys, foreseen || block + 2 * together > count ? nullptr : keys + together, size, scores + block * KEYS, stride);
        };
        if (some) score(std::integral_constant<int, B>{});
        else score(std::integral_constant<int, 1>{});
        block += some ? B : 1;
    }
}

// ------------------------------------------------------------------------------------------------ weights

// Scores by column become weights by position, not yet divided by their sum, which is returned: numbers for `blocks` blocks,
// in the same place. What lies behind `sight.count` gets none.
template <class Number, bool powers_of_two = false>
static float soften(float* scores, const Sight& sight, int blocks) {
    for (int position = sight.run; position < sight.count; position++) scores[position] = scores[sight.tail[position - sight.run] - sight.skipped];
    constexpr int powers = std::is_same<Number, bfloat16>::value ? 4 : 7;  // what rounding leaves
    const int padded = (sight.count + WIDE - 1) / WIDE * WIDE;
    for (int position = sight.count; position < padded; position++) scores[position] = -INFINITY;
    wide highs[4];  // independent of each other, to hide the latency of a comparison, and of an addition below
    times<4>([&](auto i) INLINE { highs[i] = load<wide>(scores); });
    int position = 0;
    for (; position + 4 * WIDE <= padded; position += 4 * WIDE)
        times<4>([&](auto i) INLINE { highs[i] = larger(highs[i], load<wide>(scores + position + i * WIDE)); });
    for (; position < padded; position += WIDE) highs[0] = larger(highs[0], load<wide>(scores + position));
    const wide peak = all<wide>(largest(larger(larger(highs[0], highs[1]), larger(highs[2], highs[3]))));
    wide totals[4] = {};
    const auto weigh = [&](int from, wide& total) INLINE {
        const wide exponent = load<wide>(scores + from) - peak;
        const wide weight = powers_of_two ? power_of_two(exponent) : exponential<powers>(exponent);
        store_rounded((Number*)scores + from, weight);
        total = total + weight;
    };
    for (position = 0; position + 4 * WIDE <= padded; position += 4 * WIDE)
        times<4>([&](auto i) INLINE { weigh(position + i * WIDE, totals[i]); });
    times<3>([&](auto i) INLINE {
        if (position < padded) weigh(position, totals[i]), position += WIDE;
    });
    for (; position < blocks * KEYS; position += WIDE) store_rounded((Number*)scores + position, wide{});
    return sum((totals[0] + totals[1]) + (totals[2] + totals[3]));
}

// ------------------------------------------------------------------------------------------------ values

// Q queries that see the same blocks, with weights in parts; slices of S vectors of the head from channel `d` on; the first channel left.
template <class V, int Q, int S, class KV>
static int mix_slices(const float* weights, size_t stride, const float* totals, const std::vector<ValueBlock<KV>>& blocks, int size, int d, float* const* out) {
    constexpr int lanes = sizeof(V) / sizeof(float);
    for (; d + lanes * S <= size; d += lanes * S) {
        V sums[Q * S];
        times<Q * S>([&](auto i) INLINE { sums[i] = V{}; });
        for (const ValueBlock<KV>& block : blocks) {
            const KV* row = block.values;
            const float* here = weights + block.position / 2 * PARTS<KV>;
            for (int pair = 0; pair < KEYS / 2; pair++, row += 2 * size, here += PARTS<KV>)
                times<PARTS<KV>>([&](auto part) INLINE {
                    V values[S];
                    times<S>([&](auto s) INLINE { values[s] = load_part<V>(row, size, part, d + lanes * s); });
                    times<Q>([&](auto q) INLINE {
                        const V weight = spread<V>(here + q * stride + part);
                        times<S>([&](auto s) INLINE { sums[q * S + s] = add_part<KV>(sums[q * S + s], values[s], weight); });
                    });
                });
        }
        times<Q * S>([&](auto i) INLINE { store(out[i / S] + d + lanes * (i % S), sums[i] / totals[i / S]); });
    }
    return d;
}

template <int Q, class KV>
static void mix_values(const float* weights, size_t stride, const float* totals, const std::vector<ValueBlock<KV>>& blocks, int size, float* const* out) {
    int d = mix_slices<wide, Q, SLICE<Q>>(weights, stride, totals, blocks, size, 0, out);
    d = mix_slices<wide, Q, 1>(weights, stride, totals, blocks, size, d, out);
    mix_slices<f32x8, Q, 1>(weights, stride, totals, blocks, size, d, out);
}

// ------------------------------------------------------------------------------------------------ all of it

// Calls body(Q, first) for tiles of at most QUERIES of `count` queries.
template <int Q = QUERIES, class Body>
static inline void in_tiles(int count, const Body& body, int first = 0) {
    for (; first + Q <= count; first += Q) body(std::integral_constant<int, Q>{}, first);
    if constexpr (Q > 1) {
        if (first < count) in_tiles<Q - 1>(count, body, first);
    }
}

// One key head: `count` queries of one row or of rows that follow each other become mixes at `out` (may be the same).
//
// The rows may see one position more each, the last all of `sight`: query q sees the first seen[q]. What a query does
// not see gets the weight 0, which adds nothing, so that queries of several rows can share the loads.
template <class KV>
static void attend(const float* const* queries, const int* seen, int count, const KeyHead<KV>& head, int slots_used, const Sight& sight, float* const* out, std::vector<float>& scratch) {
    Seen<KV> blocks(head, sight, slots_used);
    const int size = head.size, positions = (int)blocks.values.size();
    const size_t stride = blocks.keys.size() * KEYS + KEYS;  // rows a power of two apart would meet in a few lines of the cache
    scratch.resize(std::max(scratch.size(), stride * (count + TILE_ROWS)));
    float* scores = scratch.data();
    std::vector<float> totals(count);
    const auto weigh = [&](auto number, int query) {
        Sight own = sight;
        own.count = seen[query], own.run = std::min(own.count, sight.run);
        totals[query] = soften<decltype(number), SCALED<KV>>(scores + query * stride, own, positions);
    };
#if defined(MEMBERWISE_AMX)
    if constexpr (std::is_same<KV, bfloat16>::value) {
        if (size % TILE_NUMBERS == 0 && tiles_work()) {
            const QueryTiles tiles(count, size);
            std::vector<float> turned;
            std::vector<const float*> pointers;
            tiles.score(blocks.keys, blocks.leading * (sight.cosines != nullptr), scores, stride,
                        [&](int block) { return seen_from(sight, block, queries, count, size, turned, pointers); },
                        [&](int block) { blocks.fetch_keys(block + 2, block + 4); });
            for (int query = 0; query < count; query++) weigh(bfloat16{}, query);
            blocks.template leave_out<bfloat16>(scores, stride, totals.data(), count);
            tiles.mix((const bfloat16*)scores, 2 * stride, totals.data(), blocks.values, out);
            return;
        }
    }
#endif
    in_tiles(count, [&](auto q, int first) { score_keys<q.value>(queries + first, blocks, sight, size, scores + first * stride, stride); });
    for (int query = 0; query < count; query++) weigh(Weight<KV>{}, query);
    blocks.template leave_out<Weight<KV>>(scores, stride, totals.data(), count);
    in_tiles(count, [&](auto q, int first) {
        mix_values<q.value>(scores + first * stride, stride, totals.data() + first, blocks.values, size, out + first);
    });
}
