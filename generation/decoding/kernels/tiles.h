// Products of small matrices by the tile instructions of newer servers (Intel AMX). Knows nothing of models.
//
// A tile has up to 16 rows of 64 bytes; one instruction adds the product of two tiles to a third. Of a right factor a row has 4
// bytes for each of 16 columns, which are neighbours down the column. There are eight tiles, here always four sums (0 to 3),
// two left factors (4, 5) and two right ones (6, 7). All of it is assembly that names what it reads: GCC 12 believes that a
// tile's configuration is 8 bytes long, and drops what was written behind those.
#pragma once

#include "simd.h"

constexpr int TILE_ROWS = 16;
constexpr int TILE_BYTES = 64;  // of a row

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
            row_bytes[tile] = tile == 4 || tile == 5 ? left_bytes : TILE_BYTES;
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
static inline void sum_products(int steps, const Left& left, size_t left_bytes, const Right& right, size_t right_bytes) {
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
#else
static inline bool tiles_work() { return false; }
#endif
