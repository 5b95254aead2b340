// Products of small matrices by the tile instructions of newer servers (Intel AMX). Knows nothing of models.
//
// A tile has up to 16 rows of 64 bytes; one instruction adds the product of two tiles to a third. There are eight, here always
// four sums (0 to 3), two left factors (4, 5) and two right ones (6, 7). Everything is assembly that says so, because GCC 12
// believes that a tile's configuration is 8 bytes long, and drops what was written behind those.
#pragma once

#include "cache.h"

#include <vector>

constexpr int TILE_ROWS = 16;
constexpr int TILE_PAIRS = 32;  // bfloat16 in a row

#if defined(MEMBERWISE_AMX)
#include <sys/syscall.h>
#include <unistd.h>

#define TILE_ZERO(tile) asm volatile("tilezero %%tmm" #tile ::: "memory")
#define TILE_LOAD(tile, from, bytes) asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((int64_t)(bytes)) : "memory")
#define TILE_STORE(tile, to, bytes) asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((int64_t)(bytes)) : "memory")
#define TILE_DOT(kind, sums, left, right) asm volatile("tdp" #kind " %%tmm" #right ", %%tmm" #left ", %%tmm" #sums ::: "memory")

// Whether the system lets this process use tiles; asked once.
static inline bool tiles_work() {
    constexpr int request_permission = 0x1023, tile_data = 18;
    static const bool allowed = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    return allowed;
}

struct TileShapes {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};

    TileShapes(int sum_rows, int left_bytes) {
        for (int tile = 0; tile < 8; tile++) {
            row_bytes[tile] = tile == 4 || tile == 5 ? left_bytes : 64;
            rows[tile] = tile < 6 ? sum_rows : left_bytes / 4;
        }
    }
};

// Tiles of these shapes for as long as it lives. Whoever used tiles in this thread before finds their shapes again.
class Tiles {
  public:
    explicit Tiles(const TileShapes& shapes) {
        asm volatile("sttilecfg %0" : "=m"(before)::"memory");
        asm volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
    }

    ~Tiles() {
        if (before[0]) asm volatile("ldtilecfg %0" ::"m"(before) : "memory");
        else asm volatile("tilerelease" ::: "memory");
    }

  private:
    char before[64];
};

// body(row, column, I, J) for squares of at most 2 x 2, rows in the outer loop.
template <class Body>
static inline void in_squares(int rows, int columns, const Body& body) {
    typedef std::integral_constant<int, 1> One;
    typedef std::integral_constant<int, 2> Two;
    for (int row = 0; row < rows; row += 2)
        for (int column = 0; column < columns; column += 2) {
            const bool tall = row + 1 < rows, broad = column + 1 < columns;
            if (tall && broad) body(row, column, Two{}, Two{});
            else if (tall) body(row, column, Two{}, One{});
            else if (broad) body(row, column, One{}, Two{});
            else body(row, column, One{}, One{});
        }
}

struct TileFloats {};  // bfloat16 times bfloat16
struct TileInts {};    // int8 times uint8

#define TILE_ADD(sums, left, right)                                                       \
    if constexpr (std::is_same<Kind, TileInts>::value) TILE_DOT(bsud, sums, left, right); \
    else TILE_DOT(bf16ps, sums, left, right)

// Sums of I x J products over `steps`; left(step, i) and right(step, j) are where the factors lie.
template <class Kind, int I, int J, class Left, class Right>
static inline void add_products(int steps, const Left& left, size_t left_bytes, const Right& right, size_t right_bytes) {
    TILE_ZERO(0);
    if constexpr (J > 1) TILE_ZERO(1);
    if constexpr (I > 1) TILE_ZERO(2);
    if constexpr (I > 1 && J > 1) TILE_ZERO(3);
    for (int step = 0; step < steps; step++) {
        TILE_LOAD(4, left(step, 0), left_bytes);
        TILE_LOAD(6, right(step, 0), right_bytes);
        TILE_ADD(0, 4, 6);
        if constexpr (J > 1) {
            TILE_LOAD(7, right(step, 1), right_bytes);
            TILE_ADD(1, 4, 7);
        }
        if constexpr (I > 1) {
            TILE_LOAD(5, left(step, 1), left_bytes);
            TILE_ADD(2, 5, 6);
            if constexpr (J > 1) {
                TILE_ADD(3, 5, 7);
            }
        }
    }
}

template <int I, int J, class Sum>
static inline void store_sums(Sum* to, size_t down_bytes, size_t across, size_t row_bytes) {
    TILE_STORE(0, to, row_bytes);
    if constexpr (J > 1) TILE_STORE(1, to + across, row_bytes);
    if constexpr (I > 1) TILE_STORE(2, (char*)to + down_bytes, row_bytes);
    if constexpr (I > 1 && J > 1) TILE_STORE(3, (char*)(to + across) + down_bytes, row_bytes);
}

// Attention of `count` queries of a key head, see attention.h. `size` is a multiple of TILE_PAIRS.
struct QueryTiles {
    int count, size;
    int tiles = (count + TILE_ROWS - 1) / TILE_ROWS, rows = (count + tiles - 1) / tiles;  // of a tile

    QueryTiles(int count, int size) : count(count), size(size) {}

    // scores[query][column], `stride` floats a row; the first `turning` blocks see the queries that queries_at(block) gives.
    // before(block) is called before some blocks from there on are read.
    template <class QueriesAt, class Before>
    void score(const std::vector<const bfloat16*>& blocks, int turning, float* scores, size_t stride, const QueriesAt& queries_at, const Before& before) const {
        const int steps = size / TILE_PAIRS, total = (int)blocks.size();
        std::vector<bfloat16> packed((size_t)tiles * rows * size);
        const Tiles shapes({rows, 2 * TILE_PAIRS});
        const auto some = [&](int first, int end) {
            pack(queries_at(first), packed.data());
            in_squares(end - first, tiles, [&](int block, int tile, auto J, auto I) {
                if (tile == 0) before(first + block);
                add_products<TileFloats, I, J>(
                    steps, [&](int step, int i) { return &packed[(size_t)((tile + i) * steps + step) * rows * TILE_PAIRS]; }, 2 * TILE_PAIRS,
                    [&](int step, int j) { return blocks[first + block + j] + (size_t)step * TILE_PAIRS * KEYS; }, 4 * KEYS);
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
            add_products<TileFloats, I, J>(
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
    // As [tile][step][row][TILE_PAIRS]; what is missing in the last tile is nothing.
    void pack(const float* const* queries, bfloat16* packed) const {
        for (int query = 0; query < count; query++)
            for (int d = 0; d < size; d++) {
                const size_t step = (size_t)query / rows * (size / TILE_PAIRS) + d / TILE_PAIRS;
                put(packed + (step * rows + query % rows) * TILE_PAIRS + d % TILE_PAIRS, queries[query][d]);
            }
    }
};
#else
static inline bool tiles_work() { return false; }
#endif
