// Matrices times rows, in int8 or float32. Every result depends on its own row and channel only: integers are exact in
// any order, and floats are added in the order of the columns, whatever is computed beside them.
//
// A matrix is packed in blocks of 16 channels; within a block the columns follow each other, in fours for int8, so that
// one load brings 16 channels of four columns:
//     int8:  [channels / 16][columns / 4][16][4], plus 128      float32:  [channels / 16][columns][16]
// With VNNI, of AVX512 or of AVX, rows are int8 with a scale for every 32 columns: one scale a row costs 3 % of
// perplexity, these less than one. The head, which is the most sensitive, takes each row in two parts: the second holds
// what rounding left of the first. Without it they are int16 with one scale, which costs no speed (maddubs needs a second
// step to widen). With tiles (Intel AMX) they have 15 bits in two parts, see Int8Tiles.
#pragma once

#include "tiles.h"

#include <algorithm>

struct Matrix {
    const void* data;    // packed; channels are padded to a multiple of 16 and columns to one of 8
    const float* scale;  // of each channel (padded); null for float32
    const float* bias;   // of each channel (padded); null without
    int32_t channels;
    int32_t columns;     // padded
};

struct Product {
    const Matrix& matrix;
    const void* rows;           // (count, columns), integers or floats
    const float* row_scales;    // (count, groups), int8 only
    const int32_t* row_starts;  // (count, groups), int8 with VNNI only: what takes the 128 of the weights out again
    float* out;                 // (results, stride)
    size_t stride;
    int results;                // of more rows, the next ones are the second parts of the first, to be added to them
    bool add;                   // onto what is in `out`
};

constexpr int LANES = 16;  // channels of a block
constexpr int MANY_ROWS = 16;  // and more take blocks in another way

static inline int blocks(const Matrix& matrix) { return (matrix.channels + LANES - 1) / LANES; }

static inline float peak_of(const float* from, int count) {
    f32x8 high = splat(0.0f);
    for (int k = 0; k < count; k += 8) high = larger(high, absolute(load8(from + k)));
    return largest(high);
}

// `count` floats as integers in [-limit, limit]; returns the scale that takes them back.
template <class Integer>
static inline float quantise(const float* from, Integer* to, int count, float limit) {
    typedef Integer Eight __attribute__((vector_size(8 * sizeof(Integer))));
    const float peak = peak_of(from, count);
    if (!(peak > 0.0f)) {
        std::memset(to, 0, sizeof(Integer) * count);
        return 0.0f;
    }
    const f32x8 factor = splat(limit / peak);
    for (int k = 0; k < count; k += 8)
        store(to + k, __builtin_convertvector(__builtin_convertvector(nearest(load8(from + k) * factor), i32x8), Eight));
    return peak / limit;
}

// ------------------------------------------------------------------------------------------------ int8

#if defined(MEMBERWISE_VNNI) || defined(MEMBERWISE_AVX_VNNI)

// Sixteen integers or floats, for 16 channels. Four columns of them are multiplied by assembly because GCC 12 copies every
// sum before it adds to it.
#if defined(MEMBERWISE_VNNI)
typedef __m512i Integers;
typedef __m512 Floats;
// Few rows take blocks one by one: memory is read in its order, which the processor foresees. Many wait for loads instead.
static constexpr int rows_that_fit(bool many) { return many ? 6 : 8; }
static constexpr int blocks_that_fit(bool many) { return many ? 2 : 1; }

[[gnu::always_inline]] static inline Integers integers(int32_t value) { return _mm512_set1_epi32(value); }
[[gnu::always_inline]] static inline Integers four_columns(const uint8_t* weights) { return _mm512_loadu_si512(weights); }
[[gnu::always_inline]] static inline Integers add_products(Integers sum, Integers weights, Integers row) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(row));
    return sum;
}
[[gnu::always_inline]] static inline Floats add_scaled(Floats total, Integers sums, float scale) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(scale), total);
}
#else
typedef struct {
    __m256i half[2];
} Integers;
typedef struct {
    __m256 half[2];
} Floats;
static constexpr int rows_that_fit(bool) { return 5; }  // into sixteen registers of half the size
static constexpr int blocks_that_fit(bool) { return 1; }

[[gnu::always_inline]] static inline Integers integers(int32_t value) { return {{_mm256_set1_epi32(value), _mm256_set1_epi32(value)}}; }
[[gnu::always_inline]] static inline Integers four_columns(const uint8_t* weights) { return {{load<__m256i>(weights), load<__m256i>(weights + 32)}}; }
[[gnu::always_inline]] static inline Integers add_products(Integers sum, Integers weights, Integers row) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.half[0]) : "x"(weights.half[0]), "x"(row.half[0]));
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.half[1]) : "x"(weights.half[1]), "x"(row.half[0]));
    return sum;
}
[[gnu::always_inline]] static inline Floats add_scaled(Floats total, Integers sums, float scale) {
    times<2>([&](auto h) INLINE { total.half[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums.half[h]), _mm256_set1_ps(scale), total.half[h]); });
    return total;
}
#endif

struct Int8 {
    typedef int8_t Row;
    typedef Floats Sums;
    static constexpr int group = 32;  // columns of a row that share a scale
    static constexpr int head_parts = 2;

    static constexpr int rows_at_once(bool many) { return rows_that_fit(many); }
    static constexpr int blocks_at_once(int, bool many) { return blocks_that_fit(many); }
    static int groups(int columns) { return (columns + group - 1) / group; }

    static void quantise_row(const float* from, Row* to, float* scales, int32_t* starts, int columns) {
        int k = 0;
#if defined(MEMBERWISE_VNNI)
        for (; k + group <= columns; k += group) *scales++ = quantise_group(from + k, to + k, starts++);
#endif
        for (; k < columns; k += group) {
            const int count = std::min(group, columns - k);
            *scales++ = quantise(from + k, to + k, count, 127.0f);
            int32_t total = 0;
            for (int d = 0; d < count; d++) total += to[k + d];
            *starts++ = -128 * total;
        }
    }

#if defined(MEMBERWISE_VNNI)
    // As `quantise` and the sum behind it, bit by bit, in two registers.
    static inline float quantise_group(const float* from, Row* to, int32_t* start) {
        const __m512 parts[2] = {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 16)};
        const float peak = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(parts[0]), _mm512_abs_ps(parts[1])));
        const __m512 factor = _mm512_set1_ps(peak > 0.0f ? 127.0f / peak : 0.0f);
        __m512i whole[2];
        times<2>([&](auto i) INLINE {
            whole[i] = _mm512_cvtps_epi32(_mm512_mul_ps(parts[i], factor));
            _mm_storeu_si128((__m128i*)(to + 16 * i), _mm512_cvtepi32_epi8(whole[i]));
        });
        *start = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(whole[0], whole[1]));
        return peak / 127.0f;
    }
#endif

    // What rounding took from a row.
    static void remainder(float* from, const Row* rounded, const float* scales, int columns) {
        for (int k = 0; k < columns; k++) from[k] -= rounded[k] * scales[k / group];
    }

    // out[block][row] of `B` blocks and `R` rows. More rows take longer than memory does: the next blocks are fetched beside them.
    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        const int columns = p.matrix.columns, count = groups(columns);
        const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)block * columns * LANES;
        const Row* rows = (const Row*)p.rows + (size_t)row * columns;
        const float* scales = p.row_scales + (size_t)row * count;
        const int32_t* starts = p.row_starts + (size_t)row * count;
        Floats totals[B * R] = {};
        for (int g = 0; g < count; g++) {
            Integers sums[B * R];
            times<B * R>([&](auto i) INLINE { sums[i] = integers(starts[i % R * count + g]); });
            const auto add_four = [&](int k) INLINE {
                Integers w[B];
                times<B>([&](auto b) INLINE {
                    const uint8_t* here = weights + ((size_t)b * columns + k) * LANES;
                    if (R > 4) __builtin_prefetch(here + (size_t)B * columns * LANES, 0, 2);
                    w[b] = four_columns(here);
                });
                times<R>([&](auto r) INLINE {
                    const Integers x = integers(load<int32_t>(rows + (size_t)r * columns + k));
                    times<B>([&](auto b) INLINE { sums[b * R + r] = add_products(sums[b * R + r], w[b], x); });
                });
            };
            const int start = g * group, end = std::min(columns, start + group);
            if (end == start + group) times<group / 4>([&](auto four) INLINE { add_four(start + four * 4); });
            else for (int k = start; k < end; k += 4) add_four(k);
            times<B * R>([&](auto i) INLINE { totals[i] = add_scaled(totals[i], sums[i], scales[i % R * count + g]); });
        }
        times<B * R>([&](auto i) INLINE { out[i / R][i % R] = totals[i]; });
    }

    static inline void finish(const Sums& sums, const Product& p, int channel, int, f32x8 (&halves)[2]) {
        std::memcpy(halves, &sums, sizeof halves);
        halves[0] = halves[0] * load8(p.matrix.scale + channel);
        halves[1] = halves[1] * load8(p.matrix.scale + channel + 8);
    }
};

#else

struct Int8 {
    typedef int16_t Row;
#if defined(MEMBERWISE_AVX2)
    typedef struct {
        i32x8 quarters[4];  // of 4 channels each, whose two partial sums are neighbours
    } Sums;
    static constexpr int rows_at_once(bool) { return 3; }
#else
    typedef struct {
        int32_t lanes[LANES];
    } Sums;
    static constexpr int rows_at_once(bool) { return 4; }
#endif

    static constexpr int head_parts = 1;

    static constexpr int blocks_at_once(int, bool) { return 1; }
    static int groups(int) { return 1; }
    static void remainder(float*, const Row*, const float*, int) {}

    // The largest int16 that cannot overflow an int32 sum over the columns.
    static float row_limit(int columns) { return (float)std::min(16383, (int)(2147483647LL / 127 / columns)); }

    static void quantise_row(const float* from, Row* to, float* scales, int32_t*, int columns) {
        *scales = quantise(from, to, columns, row_limit(columns));
    }

    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        static_assert(B == 1, "these sums fill the registers");
        const int columns = p.matrix.columns;
        const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)block * columns * LANES;
        const Row* rows = (const Row*)p.rows + (size_t)row * columns;
        Sums sums[R] = {};
        for (int k = 0; k < columns; k += 4) {
            const uint8_t* here = weights + (size_t)k * LANES;
#if defined(MEMBERWISE_AVX2)
            if (R > 1) __builtin_prefetch(here + (size_t)columns * LANES, 0, 2);
#pragma GCC unroll 4
            for (int quarter = 0; quarter < 4; quarter++) {
                const __m256i w = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(here + 16 * quarter))), _mm256_set1_epi16(128));
#pragma GCC unroll 3
                for (int r = 0; r < R; r++)
                    sums[r].quarters[quarter] += (i32x8)_mm256_madd_epi16(w, _mm256_set1_epi64x(load<int64_t>(rows + (size_t)r * columns + k)));
            }
#else
            for (int r = 0; r < R; r++)
                for (int lane = 0; lane < LANES; lane++)
                    for (int d = 0; d < 4; d++) sums[r].lanes[lane] += ((int)here[4 * lane + d] - 128) * rows[(size_t)r * columns + k + d];
#endif
        }
        std::memcpy((void*)out, sums, sizeof sums);
    }

    static inline void finish(const Sums& sums, const Product& p, int channel, int row, f32x8 (&halves)[2]) {
        int32_t lanes[LANES];
#if defined(MEMBERWISE_AVX2)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] = sums.quarters[lane / 4][lane % 4 * 2] + sums.quarters[lane / 4][lane % 4 * 2 + 1];
#else
        std::memcpy(lanes, &sums, sizeof lanes);
#endif
        for (int half = 0; half < 2; half++)
            halves[half] = __builtin_convertvector(load<i32x8>(lanes + 8 * half), f32x8) * load8(p.matrix.scale + channel + 8 * half) * splat(p.row_scales[row]);
    }
};

#endif

#if defined(MEMBERWISE_AMX)
// Rows are integers of 15 bits with one scale, in two parts: 128 times the first and the second. A tile takes twice the
// columns at once that share a scale otherwise, and its sums leave it once, so that two parts cost less than many scales.
struct Int8Tiles : Int8 {
    typedef int16_t Row;  // for both parts, which lie behind each other
    static constexpr int head_parts = 1;
    static constexpr int step = 64;  // columns at once
    static constexpr int least_rows = 3;  // that tiles pay for

    static constexpr int rows_at_once(bool) { return least_rows - 1; }
    static constexpr int blocks_at_once(int, bool) { return 3; }

    static int groups(int) { return 2; }  // starts; there is one scale
    static bool fits(int columns) { return columns % step == 0; }
    static int8_t* part(Row* rows, int row, int number, int columns) { return (int8_t*)(rows + (size_t)row * columns) + number * columns; }

    static void quantise_row(const float* from, Row* to, float* scale, int32_t* starts, int columns) {
        constexpr float limit = 127 * 128;
        typedef int8_t Sixteen __attribute__((vector_size(16)));
        const float peak = peak_of(from, columns), factor = peak > 0.0f ? limit / peak : 0.0f;
        i32x16 totals[2] = {};
        for (int k = 0; k < columns; k += 16) {
            const f32x16 whole = nearest(load<f32x16>(from + k) * factor), high = nearest(whole * (1.0f / 128));
            const i32x16 parts[2] = {__builtin_convertvector(high, i32x16), __builtin_convertvector(whole - high * 128.0f, i32x16)};
            for (int number = 0; number < 2; number++) {
                store(part(to, 0, number, columns) + k, __builtin_convertvector(parts[number], Sixteen));
                totals[number] += parts[number];
            }
        }
        *scale = peak / limit;
        for (int number = 0; number < 2; number++) starts[number] = -128 * _mm512_reduce_add_epi32((__m512i)totals[number]);
    }

    static void remainder(float*, const Row*, const float*, int) {}

    // Without tiles, for few rows: the same sums of integers.
    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        const int columns = p.matrix.columns;
        const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)block * columns * LANES;
        const int8_t* rows = part((Row*)p.rows, row, 0, columns);
        __m512i sums[B * R * 2];
        times<B * R * 2>([&](auto i) INLINE { sums[i] = _mm512_setzero_si512(); });
        for (int k = 0; k < columns; k += 4)
            times<B>([&](auto b) INLINE {
                const __m512i w = _mm512_loadu_si512(weights + ((size_t)b * columns + k) * LANES);
                times<R * 2>([&](auto i) INLINE { sums[b * R * 2 + i] = add_products(sums[b * R * 2 + i], w, integers(load<int32_t>(rows + (size_t)i * columns + k))); });
            });
        times<B * R>([&](auto i) INLINE { out[i / R][i % R] = together(p, row + i % R, sums[2 * i], sums[2 * i + 1]); });
    }

    // What 16 sums of both parts of a row come to.
    static __m512 together(const Product& p, int row, __m512i high, __m512i low) {
        const auto floats = [&](__m512i sums, int number) { return _mm512_cvtepi32_ps(_mm512_add_epi32(sums, _mm512_set1_epi32(p.row_starts[2 * row + number]))); };
        return _mm512_mul_ps(_mm512_fmadd_ps(floats(high, 0), _mm512_set1_ps(128.0f), floats(low, 1)), _mm512_set1_ps(p.row_scales[2 * row]));
    }
};
#endif

// ------------------------------------------------------------------------------------------------ float32

struct Float32 {
    typedef float Row;
    typedef struct {
        f32x8 low, high;
    } Sums;
    static constexpr int head_parts = 1;

    static constexpr int rows_at_once(bool) { return 6; }
    static constexpr int blocks_at_once(int rows, bool) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }
    static int groups(int) { return 0; }
    static void quantise_row(const float*, Row*, float*, int32_t*, int) {}
    static void remainder(float*, const Row*, const float*, int) {}

    template <int R, int B>
    static inline void multiply(const Product& p, int block, int row, Sums (&out)[B][R]) {
        const int columns = p.matrix.columns;
        const float* weights = (const float*)p.matrix.data + (size_t)block * columns * LANES;
        const float* rows = (const float*)p.rows + (size_t)row * columns;
        Sums sums[B][R] = {};
        for (int k = 0; k < columns; k++)
#pragma GCC unroll 4
            for (int b = 0; b < B; b++) {
                const float* here = weights + ((size_t)b * columns + k) * LANES;
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

    static inline void finish(const Sums& sums, const Product&, int, int, f32x8 (&halves)[2]) {
        halves[0] = sums.low;
        halves[1] = sums.high;
    }
};

// ------------------------------------------------------------------------------------------------ both

// Sixteen sums of a row go where they belong.
template <class Kind>
static inline void write(const Product& p, int channel, int row, const typename Kind::Sums& sums) {
    f32x8 value[2];
    Kind::finish(sums, p, channel, row, value);
    const bool second = row >= p.results, add = p.add || second;
    float* out = p.out + (size_t)(second ? row - p.results : row) * p.stride + channel;
    for (int half = 0; half < 2; half++) {
        const int left = p.matrix.channels - channel - 8 * half;
        if (p.matrix.bias && !second) value[half] = value[half] + load8(p.matrix.bias + channel + 8 * half);
        if (left >= 8) {
            store(out + 8 * half, add ? load8(out + 8 * half) + value[half] : value[half]);
        } else {
            for (int lane = 0; lane < left; lane++) out[8 * half + lane] = add ? out[8 * half + lane] + value[half][lane] : value[half][lane];
        }
    }
}

template <class Kind, int R, int B>
static inline void tile(const Product& p, int block, int row) {
    typename Kind::Sums sums[B][R];
    Kind::template multiply<R, B>(p, block, row, sums);
    for (int b = 0; b < B; b++)
        for (int r = 0; r < R; r++) write<Kind>(p, (block + b) * LANES, row + r, sums[b][r]);
}

// `rows`, which are `R` or fewer, for `count` blocks.
template <class Kind, bool many, int R>
static void some_rows(const Product& p, int block, int count, int row, int rows) {
    if constexpr (R > 0) {
        if (rows < R) return some_rows<Kind, many, R - 1>(p, block, count, row, rows);
        constexpr int together = Kind::blocks_at_once(R, many);  // independent sums hide the latency of an addition
        int b = 0;
        for (; b + together <= count; b += together) tile<Kind, R, together>(p, block + b, row);
        for (; b < count; b++) tile<Kind, R, 1>(p, block + b, row);
    }
}

// Blocks stay in a cache while rows pass.
template <class Kind, bool many>
static void pass_rows(const Product& p, int block, int count, int rows) {
    constexpr int R = Kind::rows_at_once(many);
    const int passes = (rows + R - 1) / R, together = passes == 1 ? count : Kind::blocks_at_once(R, many);
    for (int b = 0; b < count; b += together)
        for (int pass = 0; pass < passes; pass++) {
            const int row = rows * pass / passes;
            some_rows<Kind, many, R>(p, block + b, std::min(together, count - b), row, rows * (pass + 1) / passes - row);
        }
}

#if defined(MEMBERWISE_AMX)
static void multiply_tiles(const Product& p, int first, int count, int rows) {
    const int columns = p.matrix.columns, tiles = (rows + TILE_ROWS - 1) / TILE_ROWS, height = (rows + tiles - 1) / tiles;
    const uint8_t* weights = (const uint8_t*)p.matrix.data + (size_t)first * columns * LANES;
    const Tiles shapes({height, Int8Tiles::step});
    for (int block = 0; block < count; block += 2)
        for (int tile = 0; tile < tiles; tile++) {
            alignas(64) int32_t sums[2][2][TILE_ROWS][LANES];  // of each part and block
            const int8_t* from = Int8Tiles::part((Int8Tiles::Row*)p.rows, tile * height, 0, columns);
            const auto both = [&](auto J) INLINE {
                sum_products<TileInts, 2, J>(
                    columns / Int8Tiles::step, [&](int step, int part) { return from + part * columns + step * Int8Tiles::step; }, 2 * columns,
                    [&](int step, int j) { return weights + ((size_t)(block + j) * columns + step * Int8Tiles::step) * LANES; }, 4 * LANES);
                store_sums<2, J>(sums[0][0][0], sizeof sums[0], TILE_ROWS * LANES, sizeof sums[0][0][0]);
                for (int row = tile * height; row < std::min(rows, (tile + 1) * height); row++)
                    for (int j = 0; j < J; j++)
                        write<Int8Tiles>(p, (first + block + j) * LANES, row, Int8Tiles::together(p, row, load<__m512i>(sums[0][j][row - tile * height]), load<__m512i>(sums[1][j][row - tile * height])));
            };
            if (block + 1 < count) both(std::integral_constant<int, 2>{});
            else both(std::integral_constant<int, 1>{});
        }
}
#endif

// Channels of `count` blocks from `block` on, for all rows.
template <class Kind>
static void multiply_blocks(const Product& p, int block, int count, int rows) {
#if defined(MEMBERWISE_AMX)
    if constexpr (std::is_same<Kind, Int8Tiles>::value) {
        if (rows >= Int8Tiles::least_rows) return multiply_tiles(p, block, count, rows);
    }
#endif
    if (rows > MANY_ROWS) pass_rows<Kind, true>(p, block, count, rows);
    else pass_rows<Kind, false>(p, block, count, rows);
}
