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
constexpr int QUERIES = 6;       // queries that share a load

// Where the positions that a row sees lie: `run` of them at slots 0 .. run - 1, the others at `tail`.
struct Sight {
    int count;
    int run;
    const int* tail;
};

// scores[q][slot] for slots < end, of Q queries.
template <int Q, class KV>
static void score_keys(const float* const* queries, const KV* keys, int size, int end, float* scores, size_t scores_stride) {
    for (int slot = 0; slot < end; slot += KEYS) {
        const KV* block = keys + (size_t)slot * size;
        f32x8 low[Q] = {}, high[Q] = {};
        for (int d = 0; d < size; d++) {
            const f32x8 left = load8(block + d * KEYS), right = load8(block + d * KEYS + 8);
#pragma GCC unroll 6
            for (int q = 0; q < Q; q++) {
                const f32x8 x = splat(queries[q][d]);
                low[q] = fma(left, x, low[q]);
                high[q] = fma(right, x, high[q]);
            }
        }
        for (int q = 0; q < Q; q++) {
            store(scores + q * scores_stride + slot, low[q]);
            store(scores + q * scores_stride + slot + 8, high[q]);
        }
    }
}

// Scores by slot become weights by position, not yet divided by their sum, which is returned.
static inline float soften(float* scores, const Sight& sight) {
    for (int position = sight.run; position < sight.count; position++) scores[position] = scores[sight.tail[position - sight.run]];
    const int padded = (sight.count + 7) / 8 * 8;
    for (int position = sight.count; position < padded; position++) scores[position] = -INFINITY;
    f32x8 high = load8(scores);
    for (int position = 8; position < padded; position += 8) high = larger(high, load8(scores + position));
    const f32x8 peak = splat(largest(high));
    f32x8 total = splat(0.0f);
    for (int position = 0; position < padded; position += 8) {
        const f32x8 weight = exponential(load8(scores + position) - peak);
        store(scores + position, weight);
        total = total + weight;
    }
    return sum(total);
}

// sums[q][0 .. 8 S) over positions [from, to) of Q queries. `slots` is null where position and slot are the same.
template <int Q, int S, class KV>
static inline void add_values(const float* weights, size_t weights_stride, const KV* values, int size, int from, int to, const int* slots, f32x8 (&sums)[Q][S]) {
    for (int position = from; position < to; position++) {
        const KV* value = values + (size_t)(slots ? slots[position - from] : position) * size;
        if constexpr (Q < S) {  // the smaller set is held in registers while the other passes
            f32x8 weight[Q];
#pragma GCC unroll 6
            for (int q = 0; q < Q; q++) weight[q] = splat(weights[q * weights_stride + position]);
#pragma GCC unroll 8
            for (int s = 0; s < S; s++) {
                const f32x8 part = load8(value + 8 * s);
#pragma GCC unroll 6
                for (int q = 0; q < Q; q++) sums[q][s] = fma(part, weight[q], sums[q][s]);
            }
        } else {
            f32x8 part[S];
#pragma GCC unroll 8
            for (int s = 0; s < S; s++) part[s] = load8(value + 8 * s);
#pragma GCC unroll 6
            for (int q = 0; q < Q; q++) {
                const f32x8 weight = splat(weights[q * weights_stride + position]);
#pragma GCC unroll 8
                for (int s = 0; s < S; s++) sums[q][s] = fma(part[s], weight, sums[q][s]);
            }
        }
    }
}

// Q queries that see the same positions, slices of 8 S channels of the head.
template <int Q, int S, class KV>
static int mix_slices(const float* weights, size_t weights_stride, const float* totals, const KV* values, int size, int d, const Sight& sight, float* const* out) {
    for (; d + 8 * S <= size; d += 8 * S) {
        f32x8 sums[Q][S] = {};
        add_values<Q, S>(weights, weights_stride, values + d, size, 0, sight.run, nullptr, sums);
        add_values<Q, S>(weights, weights_stride, values + d, size, sight.run, sight.count, sight.tail, sums);
        for (int q = 0; q < Q; q++)
            for (int s = 0; s < S; s++) store(out[q] + d + 8 * s, sums[q][s] / splat(totals[q]));
    }
    return d;
}

template <int Q, class KV>
static void mix_values(const float* weights, size_t weights_stride, const float* totals, const KV* values, int size, const Sight& sight, float* const* out) {
    constexpr int S = Q == 1 ? 8 : Q <= 3 ? 4 : 2;
    const int d = mix_slices<Q, S>(weights, weights_stride, totals, values, size, 0, sight, out);
    mix_slices<Q, 1>(weights, weights_stride, totals, values, size, d, sight, out);
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
    const size_t stride = (size_t)(slots_used + KEYS - 1) / KEYS * KEYS;
    scratch.resize(std::max(scratch.size(), stride * count));
    float* scores = scratch.data();
    float totals[QUERIES];
    in_tiles(count, [&](auto q, int first) { score_keys<q.value>(queries + first, keys, size, slots_used, scores + first * stride, stride); });
    in_tiles(count, [&](auto q, int first) {
        for (int query = 0; query < q.value; query++) {
            float* here = scores + (first + query) * stride;
            const int own = seen[first + query];
            totals[query] = soften(here, Sight{own, std::min(own, sight.run), sight.tail});
            std::fill(here + own, here + sight.count, 0.0f);
        }
        mix_values<q.value>(scores + first * stride, stride, totals, values, size, sight, out + first);
    });
}
