// A matrix, as it is packed, and the rows that it is multiplied with.
//
// A matrix lies in blocks of 16 channels; within a block the columns follow each other, in fours for int8, so that one
// load brings 16 channels of four columns:
//     int8:  [channels / 16][columns / 4][16][4], plus 128      float32:  [channels / 16][columns][16]
#pragma once

#include "simd.h"

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

static inline int blocks(const Matrix& matrix) { return (matrix.channels + LANES - 1) / LANES; }
