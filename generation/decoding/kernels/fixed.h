// What attention.h does in floats, in integers of 16 bits: for processors that multiply no pairs of bfloat16, twice the products in an
// instruction, and nothing has to be taken apart. More exact than bfloat16, too.
//
// Keys, queries and values have a scale each (cache.h). A sum of products of a key and a query fits 32 bits because both are of the same
// length; one of weights and values because all weights that share a scale are FIXED together.
#pragma once

#include "cache.h"

#include <algorithm>
#include <vector>

#if defined(MEMBERWISE_FIXED)
// Onto each sum of integers, both products of a pair of 16 bits. Assembly for the reason of `accumulated`.
[[gnu::always_inline]] static inline f32x8 add_fixed_pairs(f32x8 sum, f32x8 left, f32x8 right) {
#if defined(MEMBERWISE_AVX_VNNI)
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(left), "x"(right));
#else
    f32x8 products;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(left), "x"(right));
#endif
    return sum;
}
#if defined(MEMBERWISE_VNNI)
[[gnu::always_inline]] static inline wide add_fixed_pairs(wide sum, wide left, wide right) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(left), "v"(right));
    return sum;
}
#endif

// The integers that lie in a vector.
template <class V>
[[gnu::always_inline]] static inline V as_floats(V sums) {
    typedef typename std::conditional<sizeof(V) == 64, i32x16, i32x8>::type Ints;
    return __builtin_convertvector((Ints)sums, V);
}

// The sum of each of eight vectors.
static inline f32x8 sums_of(const f32x8* vectors) {
    __m256 pairs[4], fours[2];
    times<4>([&](auto i) INLINE { pairs[i] = _mm256_hadd_ps((__m256)vectors[2 * i], (__m256)vectors[2 * i + 1]); });
    times<2>([&](auto i) INLINE { fours[i] = _mm256_hadd_ps(pairs[2 * i], pairs[2 * i + 1]); });
    return (f32x8)_mm256_add_ps(_mm256_permute2f128_ps(fours[0], fours[1], 0x20), _mm256_permute2f128_ps(fours[0], fours[1], 0x31));
}

// Sixteen floats as integers of 16 bits, in the order that an instruction leaves: pairs 0, 1, 4, 5, 2, 3, 6, 7.
static inline __m256i narrowed(f32x8 first, f32x8 second) {
    return _mm256_packs_epi32(_mm256_cvtps_epi32((__m256)first), _mm256_cvtps_epi32((__m256)second));
}

// Columns become rows.
static inline void transpose(__m256i (&rows)[8]) {
    __m256i pairs[8], fours[8];
    times<4>([&](auto i) INLINE {
        pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    });
    times<4>([&](auto i) INLINE {
        const int low = i / 2 * 4 + i % 2;  // of rows 4 n to 4 n + 3, columns 0 and 1, or 2 and 3, of both halves
        fours[2 * i] = _mm256_unpacklo_epi64(pairs[low], pairs[low + 2]);
        fours[2 * i + 1] = _mm256_unpackhi_epi64(pairs[low], pairs[low + 2]);
    });
    times<4>([&](auto i) INLINE {
        rows[i] = _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x20);
        rows[4 + i] = _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x31);
    });
}

// The weights that Q queries give to some blocks, as integers: times the scales of the values, those of a query FIXED together, so that
// no sum of theirs overflows.
template <int Q>
struct FixedWeights {
    static constexpr int lanes = (Q + 7) / 8 * 8, most = 4;  // of queries, and blocks that share a scale
    alignas(32) int32_t pairs[most][KEYS / 2][lanes];
    alignas(32) float scales[lanes];  // what takes them back

    void fix(const float* weights, size_t stride, const ValueBlock<fixed16>* blocks, int count, int size) {
        times<lanes / 8>([&](auto eight) INLINE {
            constexpr int first = eight * 8, some = std::min(8, Q - first);
            const auto scaled = [&](int block, int query, int half) INLINE {
                return load8(weights + (first + query) * stride + blocks[block].position + half * 8) * load8(KeyHead<fixed16>::scales(blocks[block].values, size) + half * 8);
            };
            f32x8 sums[8] = {};
            for (int block = 0; block < count; block++) times<some>([&](auto q) INLINE { sums[q] = sums[q] + (scaled(block, q, 0) + scaled(block, q, 1)); });
            const f32x8 totals = sums_of(sums), factors = totals > 1e-30f ? FIXED / totals : splat(0.0f);
            store(scales + first, totals * (1.0f / FIXED));
            for (int block = 0; block < count; block++) {
                __m256i rows[8] = {};
                times<some>([&](auto q) INLINE {
                    const f32x8 factor = splat(factors[q.value]);
                    rows[q] = narrowed(scaled(block, q, 0) * factor, scaled(block, q, 1) * factor);
                });
                transpose(rows);
                times<8>([&](auto i) INLINE {
                    constexpr int order[] = {0, 1, 4, 5, 2, 3, 6, 7};  // of `narrowed`
                    store(&pairs[block][order[i]][first], rows[i]);
                });
            }
        });
    }
};

// Onto `mixes`, (Q, size), what `count` such blocks of `left` come to; slices of S vectors of the head from channel `d` on; the first
// channel left. What they leave to the next ones is fetched beside them: between some and the next the processor foresees nothing.
template <class V, int Q, int S>
[[gnu::always_inline]] static inline int add_slices(const FixedWeights<Q>& weights, const ValueBlock<fixed16>* blocks, int count, int left, int size, int d, float* mixes) {
    constexpr int width = sizeof(V) / sizeof(float), line = 64 / sizeof(fixed16);
    for (; d + width * S <= size; d += width * S) {
        V sums[Q * S];
        times<Q * S>([&](auto i) INLINE { sums[i] = V{}; });
        for (int block = 0; block < count; block++) {
            const fixed16 *row = blocks[block].values, *ahead = blocks[std::min(block + weights.most, left - 1)].values + 2 * d;
            for (int pair = 0; pair < KEYS / 2; pair++, row += 2 * size, ahead += 2 * size) {
                for (int n = 0; n < 2 * width * S; n += line) __builtin_prefetch(ahead + n);
                V values[S];
                times<S>([&](auto s) INLINE { values[s] = load<V>(row + 2 * (d + width * s)); });
                times<Q>([&](auto q) INLINE {
                    const V weight = spread<V>((const float*)&weights.pairs[block][pair][q]);
                    times<S>([&](auto s) INLINE { sums[q * S + s] = add_fixed_pairs(sums[q * S + s], values[s], weight); });
                });
            }
        }
        times<Q * S>([&](auto i) INLINE {
            float* mix = mixes + i / S * size + d + width * (i % S);
            store(mix, fma(as_floats(sums[i]), all<V>(weights.scales[i / S]), load<V>(mix)));
        });
    }
    return d;
}

template <int Q>
static void mix_values(const float* weights, size_t stride, const float* totals, const std::vector<ValueBlock<fixed16>>& blocks, int size, float* const* out) {
    std::vector<float> mixes((size_t)Q * size);
    FixedWeights<Q> fixed;
    for (size_t first = 0; first < blocks.size(); first += fixed.most) {
        const ValueBlock<fixed16>* some = &blocks[first];
        const int left = (int)(blocks.size() - first), count = std::min(fixed.most, left);
        fixed.fix(weights, stride, some, count, size);
        int d = add_slices<wide, Q, SLICE<Q>>(fixed, some, count, left, size, 0, mixes.data());
        d = add_slices<wide, Q, 1>(fixed, some, count, left, size, d, mixes.data());
        add_slices<f32x8, Q, 1>(fixed, some, count, left, size, d, mixes.data());
    }
    for (int q = 0; q < Q; q++)
        for (int d = 0; d < size; d++) out[q][d] = mixes[(size_t)q * size + d] / totals[q];
}
#endif
