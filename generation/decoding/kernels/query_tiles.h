// Scores and mixes of many queries by tiles; what attention.h does one vector at a time elsewhere.
#pragma once

#include "cache.h"
#include "tiles.h"

#include <vector>

#if defined(MEMBERWISE_AMX)
constexpr int TILE_NUMBERS = 32;  // bfloat16 in a row

// The products of `attend`, for `count` queries of a key head. `size` is a multiple of TILE_NUMBERS.
struct QueryTiles {
    int count, size;
    int tiles = (count + TILE_ROWS - 1) / TILE_ROWS, rows = (count + tiles - 1) / tiles;  // of a tile

    QueryTiles(int count, int size) : count(count), size(size) {}

    // scores[query][column], `stride` floats a row; the first `turning` blocks see the queries that queries_at(block) gives.
    // before(block) is called before some blocks from there on are read.
    template <class QueriesAt, class Before>
    void score(const std::vector<const bfloat16*>& blocks, int turning, float* scores, size_t stride, const QueriesAt& queries_at, const Before& before) const {
        const int steps = size / TILE_NUMBERS, total = (int)blocks.size();
        std::vector<bfloat16> packed((size_t)tiles * rows * size);
        const Tiles shapes({rows, 2 * TILE_NUMBERS});
        const auto some = [&](int first, int end) {
            pack(queries_at(first), packed.data());
            in_squares(end - first, tiles, [&](int block, int tile, auto J, auto I) {
                if (tile == 0) before(first + block);
                sum_products<TileFloats, I, J>(
                    steps, [&](int step, int i) { return &packed[(size_t)((tile + i) * steps + step) * rows * TILE_NUMBERS]; }, 2 * TILE_NUMBERS,
                    [&](int step, int j) { return blocks[first + block + j] + (size_t)step * TILE_NUMBERS * KEYS; }, 4 * KEYS);
                store_sums<I, J>(scores + (size_t)tile * rows * stride + (first + block) * KEYS, rows * stride * sizeof(float), KEYS, stride * sizeof(float));
            });
        };
        for (int block = 0; block < turning; block++) some(block, block + 1);
        some(turning, total);
    }

    // out[query], from weights of `stride` bfloat16 a row that are still to be divided by totals[query].
    template <class Blocks>
    void mix(const bfloat16* weights, size_t stride, const float* totals, const Blocks& blocks, float* const* out) const {
        const Tiles shapes({rows, 2 * KEYS});
        in_squares(tiles, size / KEYS, [&](int tile, int slice, auto I, auto J) {
            alignas(64) float sums[2][2][TILE_ROWS][KEYS];
            sum_products<TileFloats, I, J>(
                (int)blocks.size(), [&](int step, int i) { return weights + (size_t)(tile + i) * rows * stride + blocks[step].position; }, stride * sizeof(bfloat16),
                [&](int step, int j) { return blocks[step].values + (slice + j) * 2 * KEYS; }, (size_t)size * 4);
            store_sums<I, J>(sums[0][0][0], sizeof sums[0], TILE_ROWS * KEYS, sizeof sums[0][0][0]);
            for (int i = 0; i < I; i++)
                for (int row = 0; row < rows && (tile + i) * rows + row < count; row++)
                    for (int j = 0; j < J; j++) {
                        const int query = (tile + i) * rows + row;
                        store(out[query] + (slice + j) * KEYS, load<wide>(sums[i][j][row]) / totals[query]);
                    }
        });
    }

  private:
    // As [tile][step][row][TILE_NUMBERS]; what is missing in the last tile is nothing.
    void pack(const float* const* queries, bfloat16* packed) const {
        for (int query = 0; query < count; query++)
            for (int d = 0; d < size; d++) {
                const size_t step = (size_t)query / rows * (size / TILE_NUMBERS) + d / TILE_NUMBERS;
                put(packed + (step * rows + query % rows) * TILE_NUMBERS + d % TILE_NUMBERS, queries[query][d]);
            }
    }
};
#endif
