// Grouped-query attention of new rows over a cache of keys and values.
//
// A row sees a run of positions; where each lies in the cache is a slot. Positions that are committed lie in order, the
// nodes of a tree lie behind them. Sums run over *positions*, in their order, so a row's result does not depend on
// where a tree put its ancestors nor on which rows are computed beside it.
//
// For each layer and key head, `slots` being the capacity (a multiple of 16):
//     keys    [slots / 16][head size][16]     16 keys at once, no sum crosses lanes
//     values  [slots][head size]
#pragma once

#include "simd.h"

#include <vector>

constexpr int KEYS = 16;         // keys of a block
constexpr int QUERIES = WIDE == 16 ? 12 : 6;  // queries that share a load

// Where the positions that a row sees lie: the first `leading` of them in blocks of KEYS slots, which `blocks` counts; up
// to `run` each is `skipped` slots behind its number; the others lie at `tail`. Without a choice all run from slot 0.
struct Sight {
    int count;
    int run;
    const int* tail;
    int leading = 0, skipped = 0;
    const int* blocks = nullptr;
    const float *cosines = nullptr, *sines = nullptr;  // turn queries as if nothing was skipped; null leaves them
};

// scores[q][slot] for the slots of B blocks. `packed` holds the queries as [size][Q]: with a pointer for each query there
// are more pointers than registers, and every factor takes two loads.
template <int Q, int B, class KV>
[[gnu::always_inline]] static inline void score_blocks(const float* packed, const KV* keys, int size, float* scores, size_t scores_stride) {
    constexpr int parts = KEYS / WIDE, width = B * parts;
    wide sums[Q * width];
    times<Q * width>([&](auto i) INLINE { sums[i] = wide{}; });
    for (int d = 0; d < size; d++) {
        wide key[width];
        times<width>([&](auto i) INLINE { key[i] = load_floats<wide>(keys + (size_t)(i / parts * size + d) * KEYS + i % parts * WIDE); });
        times<Q>([&](auto q) INLINE {
            const wide x = all<wide>(packed[d * Q + q]);
            times<width>([&](auto i) INLINE { sums[q * width + i] = fma(key[i], x, sums[q * width + i]); });
        });
    }
    times<Q * width>([&](auto i) INLINE { store(scores + i / width * scores_stride + i % width * WIDE, sums[i]); });
}

// scores[q][slot] for slots < end, of Q queries; `packed` has room for size * Q floats.
template <int Q, class KV>
static void score_keys(const float* const* queries, const KV* keys, int size, int end, float* scores, size_t scores_stride, float* packed) {
    for (int d = 0; d < size; d++) times<Q>([&](auto q) INLINE { packed[d * Q + q] = queries[q][d]; });
    constexpr int B = WIDE < 16 ? 1 : Q <= 6 ? 4 : 2;  // sums, keys and a factor fit the registers
    int slot = 0;
    for (; slot + KEYS * (B - 1) < end; slot += KEYS * B) score_blocks<Q, B>(packed, keys + (size_t)slot * size, size, scores + slot, scores_stride);
    for (; slot < end; slot += KEYS) score_blocks<Q, 1>(packed, keys + (size_t)slot * size, size, scores + slot, scores_stride);
}

// Blocks that do not follow each other are not foreseen by the processor.
template <class KV>
static inline void fetch(const KV* block, int size) {
    for (size_t byte = 0; byte < sizeof(KV) * KEYS * size; byte += 64) __builtin_prefetch((const char*)block + byte, 0, 2);
}

// Queries turned back by `positions`, as [size][Q]. Tables may hold a factor, which is none of a turn.
template <int Q>
static void turn_back(const float* const* queries, const float* cosines, const float* sines, int positions, int size, float* packed) {
    const float factor = 1.0f / cosines[0];  // of position 0
    cosines += (size_t)positions * (size / 2), sines += (size_t)positions * (size / 2);
    for (int d = 0; d < size / 2; d++) {
        const float cosine = cosines[d] * factor, sine = sines[d] * factor;
        times<Q>([&](auto q) INLINE {
            const float real = queries[q][d], imaginary = queries[q][d + size / 2];
            packed[d * Q + q] = real * cosine + imaginary * sine;
            packed[(d + size / 2) * Q + q] = imaginary * cosine - real * sine;
        });
    }
}

// scores[q][position] of the leading positions, some blocks at a time to hide the latency of an addition.
template <int Q, class KV>
static void score_leading(const float* const* queries, const KV* keys, const KV* values, int size, const Sight& sight, float* scores, size_t scores_stride, float* packed) {
    constexpr int B = WIDE < 16 || Q > 6 ? 1 : Q > 4 ? 2 : 4, parts = KEYS / WIDE;
    const int count = sight.leading / KEYS, start = sight.leading + sight.skipped;
    if (!sight.cosines)
        for (int d = 0; d < size; d++) times<Q>([&](auto q) INLINE { packed[d * Q + q] = queries[q][d]; });
    for (int first = 0; first < count; first += B) {
        for (int number = first + B; number < std::min(first + 2 * B, count); number++) fetch(keys + (size_t)sight.blocks[number] * KEYS * size, size);
        for (int number = first; number < std::min(first + B, count); number++) fetch(values + (size_t)sight.blocks[number] * KEYS * size, size);
        const KV* blocks[B];
        times<B>([&](auto b) INLINE {
            const int number = std::min(first + b, count - 1), slot = sight.blocks[number] * KEYS;  // the last again, where there is none
            blocks[b] = keys + (size_t)slot * size;
            if (sight.cosines) turn_back<Q>(queries, sight.cosines, sight.sines, start - slot - (sight.leading - number * KEYS), size, packed + b * size * Q);
        });
        const int apart = sight.cosines ? size * Q : 0;
        wide sums[B * parts * Q];
        times<B * parts * Q>([&](auto i) INLINE { sums[i] = wide{}; });
        for (int d = 0; d < size; d++)
            times<B * parts>([&](auto i) INLINE {
                const wide key = load_floats<wide>(blocks[i / parts] + (size_t)d * KEYS + i % parts * WIDE);
                times<Q>([&](auto q) INLINE { sums[i * Q + q] = fma(key, all<wide>(packed[i / parts * apart + d * Q + q]), sums[i * Q + q]); });
            });
        times<B * parts * Q>([&](auto i) INLINE {
            if (first + i / Q / parts < count) store(scores + i % Q * scores_stride + (first + i / Q / parts) * KEYS + i / Q % parts * WIDE, sums[i]);
        });
    }
}

// Scores by slot become weights by position, not yet divided by their sum, which is returned.
static inline float soften(float* scores, const Sight& sight) {
    for (int position = sight.run; position < sight.count; position++) scores[position] = scores[sight.tail[position - sight.run] - sight.skipped];
    const int padded = (sight.count + WIDE - 1) / WIDE * WIDE;
    for (int position = sight.count; position < padded; position++) scores[position] = -INFINITY;
    wide high = load<wide>(scores);
    for (int position = WIDE; position < padded; position += WIDE) high = larger(high, load<wide>(scores + position));
    const wide peak = all<wide>(largest(high));
    wide total = {};
    for (int position = 0; position < padded; position += WIDE) {
        const wide weight = exponential(load<wide>(scores + position) - peak);
        store(scores + position, weight);
        total = total + weight;
    }
    return sum(total);
}

// sums[q][..] over positions [from, to) of Q queries. `slots` is null where position and slot are the same.
template <class V, int Q, int S, class KV>
[[gnu::always_inline]] static inline void add_values(const float* weights, size_t weights_stride, const KV* values, int size, int from, int to, const int* slots, V (&sums)[Q * S]) {
    constexpr int lanes = sizeof(V) / sizeof(float);
    for (int position = from; position < to; position++) {
        const KV* value = values + (size_t)(slots ? slots[position - from] : position) * size;
        V part[S];
        times<S>([&](auto s) INLINE { part[s] = load_floats<V>(value + lanes * s); });
        times<Q>([&](auto q) INLINE {
            const V weight = all<V>(weights[q * weights_stride + position]);
            times<S>([&](auto s) INLINE { sums[q * S + s] = fma(part[s], weight, sums[q * S + s]); });
        });
    }
}

// Q queries that see the same positions, slices of S vectors of the head from channel `d` on; the first channel left.
template <class V, int Q, int S, class KV>
static int mix_slices(const float* weights, size_t weights_stride, const float* totals, const KV* values, int size, int d, const Sight& sight, float* const* out) {
    constexpr int lanes = sizeof(V) / sizeof(float);
    for (; d + lanes * S <= size; d += lanes * S) {
        V sums[Q * S];
        times<Q * S>([&](auto i) INLINE { sums[i] = V{}; });
        for (int position = 0; position < sight.leading; position += KEYS)
            add_values<V, Q, S>(weights, weights_stride, values + d + (sight.blocks[position / KEYS] * KEYS - position) * (int64_t)size, size, position, position + KEYS, nullptr, sums);
        add_values<V, Q, S>(weights, weights_stride, values + d + sight.skipped * (int64_t)size, size, sight.leading, sight.run, nullptr, sums);
        add_values<V, Q, S>(weights, weights_stride, values + d, size, sight.run, sight.count, sight.tail, sums);
        times<Q * S>([&](auto i) INLINE { store(out[i / S] + d + lanes * (i % S), sums[i] / totals[i / S]); });
    }
    return d;
}

template <int Q, class KV>
static void mix_values(const float* weights, size_t weights_stride, const float* totals, const KV* values, int size, const Sight& sight, float* const* out) {
    constexpr int S = WIDE == 16 ? (Q <= 6 ? 4 : 2) : Q == 1 ? 8 : Q <= 3 ? 4 : 2;  // sums and values fit the registers
    int d = mix_slices<wide, Q, S>(weights, weights_stride, totals, values, size, 0, sight, out);
    d = mix_slices<wide, Q, 1>(weights, weights_stride, totals, values, size, d, sight, out);
    mix_slices<f32x8, Q, 1>(weights, weights_stride, totals, values, size, d, sight, out);
}

// Calls body.template operator()<Q>(first) for tiles of at most QUERIES of `count` queries.
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
static void attend(const float* const* queries, const int* seen, int count, const KV* keys, const KV* values, int size, int slots_used, const Sight& sight, float* const* out, std::vector<float>& scratch) {
    const size_t stride = (size_t)(slots_used - sight.skipped + KEYS - 1) / KEYS * KEYS;
    const int start = sight.leading + sight.skipped;  // first slot behind the leading positions
    scratch.resize(std::max(scratch.size(), stride * count + (size_t)size * QUERIES * 4));
    float* scores = scratch.data();
    float* packed = scores + stride * count;
    float totals[QUERIES];
    in_tiles(count, [&](auto q, int first) {
        float* here = scores + first * stride;
        if (sight.leading) score_leading<q.value>(queries + first, keys, values, size, sight, here, stride, packed);
        score_keys<q.value>(queries + first, keys + (size_t)start * size, size, slots_used - start, here + sight.leading, stride, packed);
    });
    in_tiles(count, [&](auto q, int first) {
        for (int query = 0; query < q.value; query++) {
            float* here = scores + (first + query) * stride;
            const int own = seen[first + query];
            Sight seeing = sight;
            seeing.count = own, seeing.run = std::min(own, sight.run);
            totals[query] = soften(here, seeing);
            std::fill(here + own, here + sight.count, 0.0f);
        }
        mix_values<q.value>(scores + first * stride, stride, totals, values, size, sight, out + first);
    });
}
