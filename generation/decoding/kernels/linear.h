// Matrices times rows, in int8 or float32. Every result depends on its own row and channel only: integers are exact in
// any order, and floats are added in the order of the columns, whatever is computed beside them.
//
// A matrix is packed in blocks of 16 channels; within a block the columns follow each other, in pairs for int8, so that
// one load brings 16 channels of one column pair and no sum ever crosses lanes:
//     int8:  [channels / 16][columns / 2][16][2]      float32:  [channels / 16][columns][16]
// Rows meet int8 weights as int16 with an own scale a row. That costs no speed against int8 rows on processors without
// VNNI (maddubs needs a second step to widen) and leaves the weights as the only source of error.
#pragma once

#include "simd.h"

#include <algorithm>

struct Matrix {
    const void* data;    // packed; channels are padded to a multiple of 16 and columns to one of 8
    const float* scale;  // of each channel (padded); null for float32
    const float* bias;   // of each channel (padded); null without
    int32_t channels;
    int32_t columns;     // padded
};

constexpr int LANES = 16;  // channels of a block

static inline int blocks(const Matrix& matrix) { return (matrix.channels + LANES - 1) / LANES; }

// The largest int16 that cannot overflow an int32 sum over the columns.
static inline int row_limit(int columns) { return std::min(16383, (int)(2147483647LL / 127 / columns)); }

// int16 row and its scale from a float row.
static inline float quantise_row(const float* from, int16_t* to, int columns) {
    f32x8 high = splat(0.0f);
    for (int k = 0; k < columns; k += 8) high = larger(high, absolute(load8(from + k)));
    const float peak = largest(high);
    if (!(peak > 0.0f)) {
        std::memset(to, 0, sizeof(int16_t) * columns);
        return 0.0f;
    }
    const float limit = (float)row_limit(columns);
    const f32x8 factor = splat(limit / peak);
    for (int k = 0; k < columns; k += 8)
        store(to + k, __builtin_convertvector(__builtin_convertvector(nearest(load8(from + k) * factor), i32x8), i16x8));
    return peak / limit;
}

// ------------------------------------------------------------------------------------------------ int8

struct Int8 {
    typedef int16_t Row;
#if defined(MEMBERWISE_VNNI)
    typedef __m512i Sums;
    static constexpr int rows_at_once = 12;
#else
    typedef struct {
        i32x8 low, high;
    } Sums;
    static constexpr int rows_at_once = 6;
#endif

    // sums[block][row] of `B` blocks and `R` rows.
    template <int R, int B>
    static inline void multiply(const int8_t* weights, size_t block_size, const int16_t* rows, int columns, Sums (&out)[B][R]) {
        Sums sums[B][R] = {};  // of its own: what a reference names is written to memory in every step
        for (int k = 0; k < columns; k += 2)
#pragma GCC unroll 4
            for (int b = 0; b < B; b++) {
                const int8_t* here = weights + b * block_size + (size_t)k * LANES;
#if defined(MEMBERWISE_VNNI)
                const __m512i w = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)here));
#elif defined(MEMBERWISE_AVX2)
                const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)here));
                const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(here + 16)));
#endif
#pragma GCC unroll 12
                for (int r = 0; r < R; r++) {
                    const int16_t* pair = rows + (size_t)r * columns + k;
#if defined(MEMBERWISE_VNNI)
                    sums[b][r] = _mm512_dpwssd_epi32(sums[b][r], w, _mm512_set1_epi32(load<int32_t>(pair)));
#elif defined(MEMBERWISE_AVX2)
                    const __m256i x = _mm256_set1_epi32(load<int32_t>(pair));
                    sums[b][r].low += (i32x8)_mm256_madd_epi16(low, x);
                    sums[b][r].high += (i32x8)_mm256_madd_epi16(high, x);
#else
                    int32_t* lanes = (int32_t*)&sums[b][r];
                    for (int lane = 0; lane < LANES; lane++)
                        lanes[lane] += (int16_t)here[2 * lane] * pair[0] + (int16_t)here[2 * lane + 1] * pair[1];
#endif
                }
            }
        std::memcpy((void*)out, sums, sizeof sums);
    }

    static inline void finish(const Sums& sums, const Matrix& matrix, int channel, float row_scale, f32x8& low, f32x8& high) {
        i32x8 halves[2];
        std::memcpy(halves, &sums, sizeof halves);
        low = __builtin_convertvector(halves[0], f32x8) * load8(matrix.scale + channel) * splat(row_scale);
        high = __builtin_convertvector(halves[1], f32x8) * load8(matrix.scale + channel + 8) * splat(row_scale);
    }
    static size_t block_size(int columns) { return (size_t)columns * LANES; }
};

// ------------------------------------------------------------------------------------------------ float32

struct Float32 {
    typedef float Row;
    typedef struct {
        f32x8 low, high;
    } Sums;
    static constexpr int rows_at_once = 6;

    template <int R, int B>
    static inline void multiply(const float* weights, size_t block_size, const float* rows, int columns, Sums (&out)[B][R]) {
        Sums sums[B][R] = {};
        for (int k = 0; k < columns; k++)
#pragma GCC unroll 4
            for (int b = 0; b < B; b++) {
                const float* here = weights + b * block_size + (size_t)k * LANES;
                const f32x8 low = load8(here), high = load8(here + 8);
#pragma GCC unroll 6
                for (int r = 0; r < R; r++) {
                    const f32x8 x = splat(rows[(size_t)r * columns + k]);
                    sums[b][r].low = fma(low, x, sums[b][r].low);
                    sums[b][r].high = fma(high, x, sums[b][r].high);
                }
            }
        std::memcpy((void*)out, sums, sizeof sums);
    }

    static inline void finish(const Sums& sums, const Matrix&, int, float, f32x8& low, f32x8& high) {
        low = sums.low;
        high = sums.high;
    }
    static size_t block_size(int columns) { return (size_t)columns * LANES; }
};

// ------------------------------------------------------------------------------------------------ both

struct Product {
    const Matrix& matrix;
    const void* rows;         // (count, columns), int16 or float
    const float* row_scales;  // (count,), int8 only
    float* out;               // (count, stride)
    size_t stride;
    bool add;                 // onto what is in `out`
};

template <class Kind, int R, int B>
static inline void tile(const Product& p, int block, int row) {
    const int columns = p.matrix.columns;
    const size_t size = Kind::block_size(columns);
    typedef typename std::conditional<std::is_same<Kind, Int8>::value, int8_t, float>::type Weight;
    const Weight* weights = (const Weight*)p.matrix.data + block * size;
    typename Kind::Sums sums[B][R];
    Kind::template multiply<R, B>(weights, size, (const typename Kind::Row*)p.rows + (size_t)row * columns, columns, sums);
    for (int b = 0; b < B; b++)
        for (int r = 0; r < R; r++) {
            const int channel = (block + b) * LANES;
            f32x8 value[2];
            Kind::finish(sums[b][r], p.matrix, channel, p.row_scales ? p.row_scales[row + r] : 1.0f, value[0], value[1]);
            float* out = p.out + (size_t)(row + r) * p.stride + channel;
            for (int half = 0; half < 2; half++) {
                const int left = p.matrix.channels - channel - 8 * half;
                if (p.matrix.bias) value[half] = value[half] + load8(p.matrix.bias + channel + 8 * half);
                if (left >= 8) {
                    store(out + 8 * half, p.add ? load8(out + 8 * half) + value[half] : value[half]);
                } else {
                    for (int lane = 0; lane < left; lane++)
                        out[8 * half + lane] = p.add ? out[8 * half + lane] + value[half][lane] : value[half][lane];
                }
            }
        }
}

template <class Kind, int R>
static inline void some_rows(const Product& p, int block, int count, int row) {
    constexpr int together = R == 1 ? 4 : R <= 3 ? 2 : 1;  // independent sums hide the latency of an addition
    int b = 0;
    for (; b + together <= count; b += together) tile<Kind, R, together>(p, block + b, row);
    for (; b < count; b++) tile<Kind, R, 1>(p, block + b, row);
}

template <class Kind, int R>
static void rest_of_rows(const Product& p, int block, int count, int row, int left) {
    if constexpr (R > 0) {
        if (left == R) some_rows<Kind, R>(p, block, count, row);
        else rest_of_rows<Kind, R - 1>(p, block, count, row, left);
    }
}

// Channels of `count` blocks from `block` on, for all rows. A block stays in the first cache while rows pass.
template <class Kind>
static void multiply_blocks(const Product& p, int block, int count, int rows) {
    constexpr int R = Kind::rows_at_once;
    if (rows < R) return rest_of_rows<Kind, R - 1>(p, block, count, 0, rows);
    for (int b = 0; b < count; b++) {
        int row = 0;
        for (; row + R <= rows; row += R) some_rows<Kind, R>(p, block + b, 1, row);
        rest_of_rows<Kind, R - 1>(p, block + b, 1, row, rows - row);
    }
}
