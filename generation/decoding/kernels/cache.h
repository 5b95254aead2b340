// Where the keys and values of one key head of a sequence lie. Knows nothing of models.
//
// In blocks of 16 slots; `slots`, the capacity, is a multiple of 16. Two neighbours, of the channels of a key or of the slots of
// a value, are a pair, because tiles of bfloat16 add two products at once (and two are taken apart as quickly as one is widened):
//     float32     keys [slots / 16][head size][16]            values [slots][head size]
//     bfloat16    keys [slots / 16][head size / 2][16][2]     values [slots / 2][head size][2]
// So a block of keys and a block of values have the same offset, and both are rows of pairs: in float32 the first ones,
// then the second ones.
#pragma once

#include "simd.h"

constexpr int KEYS = 16;  // slots of a block

template <class KV>
struct KeyHead {
    KV *keys, *values;
    int size;  // of a head, even

    static constexpr bool paired = std::is_same<KV, bfloat16>::value;

    // Index of element `n` of row `row` in rows of pairs of `length`.
    static size_t at(int row, int n, int length) {
        return paired ? ((size_t)(row / 2) * length + n) * 2 + row % 2 : (size_t)row * length + n;
    }

    size_t block(int slot) const { return (size_t)(slot / KEYS) * KEYS * size; }
    KV& key(int slot, int d) const { return keys[block(slot) + at(d, slot % KEYS, KEYS)]; }
    KV& value(int slot, int d) const { return values[block(slot) + at(slot % KEYS, d, size)]; }

    void store_slot(int slot, const float* new_key, const float* new_value) const {
        for (int d = 0; d < size; d++) put(&key(slot, d), new_key[d]), put(&value(slot, d), new_value[d]);
    }

    void move(int from, int to) const {
        for (int d = 0; d < size; d++) key(to, d) = key(from, d), value(to, d) = value(from, d);
    }
};
