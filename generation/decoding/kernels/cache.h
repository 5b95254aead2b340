// Where the keys and values of one key head of a sequence lie. Knows nothing of models.
//
// In blocks of 16 slots; `slots`, the capacity, is a multiple of 16. Two neighbours, of the channels of a key or of the slots of
// a value, are a pair, because processors that multiply 16 bits add two products at once (others take the two apart as quickly as one is widened):
//     float32     keys [slots / 16][head size][16]            values [slots][head size]
//     16 bits     keys [slots / 16][head size / 2][16][2]     values [slots / 2][head size][2]
// So a block of keys and a block of values have the same offset, and both are rows of pairs: in float32 the first ones,
// then the second ones. Behind a block of fixed16 lie the scales of its slots, 16 of float32.
#pragma once

#include "simd.h"

constexpr int KEYS = 16;  // slots of a block

// What int8 networks keep.
#if defined(MEMBERWISE_FIXED)
typedef fixed16 Rounded;
#else
typedef bfloat16 Rounded;
#endif

template <class KV>
constexpr bool SCALED = std::is_same<KV, fixed16>::value;

// The length of a key and of a query, and the peak of a value, as integers. What two of such a length come to, or any of their
// channels, is less than 2^30.
constexpr float FIXED = 32700.0f;

static inline float length_of(const float* from, int count) {
    float squares = 0.0f;
    for (int d = 0; d < count; d++) squares += from[d] * from[d];
    return std::sqrt(squares);
}

// What takes numbers to integers of which the largest, or all together, are FIXED.
static inline float to_fixed(float measure) { return measure > 1e-30f ? FIXED / measure : 0.0f; }

template <class KV>
struct KeyHead {
    KV *keys, *values;
    int size;  // of a head, a multiple of 8

    // Index of element `n` of row `row` in rows of pairs of `length`.
    static size_t at(int row, int n, int length) {
        return std::is_same<KV, float>::value ? (size_t)row * length + n : ((size_t)(row / 2) * length + n) * 2 + row % 2;
    }

    // How many numbers a block of slots takes.
    static size_t block_numbers(int size) { return (size_t)KEYS * size + (SCALED<KV> ? KEYS * sizeof(float) / sizeof(KV) : 0); }

    size_t block(int slot) const { return slot / KEYS * block_numbers(size); }
    KV& key(int slot, int d) const { return keys[block(slot) + at(d, slot % KEYS, KEYS)]; }
    KV& value(int slot, int d) const { return values[block(slot) + at(slot % KEYS, d, size)]; }

    // Of the slots of a block of keys or of values; fixed16 only.
    static float* scales(const KV* block, int size) { return (float*)(block + (size_t)KEYS * size); }
    float* scale(const KV* from, int slot) const { return scales(from + block(slot), size) + slot % KEYS; }

    void store_slot(int slot, const float* new_key, const float* new_value) const {
        float key_factor = 1.0f, value_factor = 1.0f;
        if constexpr (SCALED<KV>) {
            const float length = length_of(new_key, size), peak = peak_of(new_value, size);
            key_factor = to_fixed(length), value_factor = to_fixed(peak);
            put(scale(keys, slot), length / FIXED), put(scale(values, slot), peak / FIXED);
        }
        for (int d = 0; d < size; d++) put(&key(slot, d), new_key[d] * key_factor), put(&value(slot, d), new_value[d] * value_factor);
    }

    void move(int from, int to) const { move_key(from, to), move_value(*this, from, to); }

    void move_key(int from, int to) const {
        for (int d = 0; d < size; d++) key(to, d) = key(from, d);
        if constexpr (SCALED<KV>) *scale(keys, to) = *scale(keys, from);
    }

    // Of another head, or of this one.
    void move_value(const KeyHead& source, int from, int to) const {
        for (int d = 0; d < size; d++) value(to, d) = source.value(from, d);
        if constexpr (SCALED<KV>) *scale(values, to) = *source.scale(source.values, from);
    }
};

// How many vectors of a head Q queries mix at once: sums and values fit the registers.
template <int Q>
constexpr int SLICE = WIDE == 16 ? (Q <= 6 ? 4 : 2) : Q == 1 ? 8 : Q <= 3 ? 4 : 2;

// Values of positions that follow each other.
template <class KV>
struct ValueBlock {
    const KV* values;
    int position;  // of its first
};
