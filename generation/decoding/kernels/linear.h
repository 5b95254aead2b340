// Matrices times rows, in int8 or float32. Every result depends on its own row and channel only: integers are exact in
// any order, and floats are added in the order of the columns, whatever is computed beside them.
#pragma once

#include "int8.h"

constexpr int MANY_ROWS = 16;  // and more take blocks in another way

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
                    sums[b][r].low = accumulated(low, x, sums[b][r].low);
                    sums[b][r].high = accumulated(high, x, sums[b][r].high);
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
