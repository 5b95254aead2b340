// The part of a long sequence that attention sees: chosen by votes, gathered into a short cache of its own.
//
// A *store* holds all keys of a sequence as they were before their rotation, and all values; a *list* is a short cache
// whose keys are rotated to their places in it, so that the forward runs over it as over any sequence. Both have the
// layout of attention.h. Called by generation/decoding/selection/long_rows.py. Start reading at `votes_of`.

#include "attention.h"
#include "threads.h"

#include <algorithm>
#include <functional>
#include <numeric>

struct Heads {
    int32_t layers, heads, key_heads, head_size;
    int32_t is_bfloat16;
    int32_t threads;
};

struct Cache {
    void *keys, *values;
    int32_t slots, length;
};

static inline float get(const float* from) { return *from; }

static inline float get(const bfloat16* from) {
    const uint32_t bits = (uint32_t)from->bits << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

template <class KV>
struct Side {
    KV *keys, *values;
    int size;

    Side(const Heads& heads, const Cache& cache, int head) : size(heads.head_size) {
        keys = (KV*)cache.keys + (size_t)head * cache.slots * size;
        values = (KV*)cache.values + (size_t)head * cache.slots * size;
    }
    KV* key(int slot) const { return keys + (size_t)(slot / KEYS) * KEYS * size + slot % KEYS; }  // stride KEYS
    KV* value(int slot) const { return values + (size_t)slot * size; }
};

// One key and value; the key turned forwards (way 1) or back (way -1). `cosines` and `sines` are of one position.
template <class KV>
static void move(const Side<KV>& from, int slot, const Side<KV>& to, int place, const float* cosines, const float* sines, float way) {
    const int half = from.size / 2;
    const KV* source = from.key(slot);
    KV* target = to.key(place);
    for (int d = 0; d < half; d++) {
        const float real = get(source + d * KEYS), imaginary = get(source + (d + half) * KEYS);
        float cosine = cosines[d], sine = sines[d] * way;
        if (way < 0) {  // tables may hold a factor, which has to be taken out again
            const float squares = cosine * cosine + sine * sine;
            cosine /= squares, sine /= squares;
        }
        put(target + d * KEYS, real * cosine - imaginary * sine);
        put(target + (d + half) * KEYS, imaginary * cosine + real * sine);
    }
    std::copy_n(from.value(slot), from.size, to.value(place));
}

// votes[slot - from]: the sum over query heads of their softmax over the keys in [from, to); `from` is a multiple of KEYS.
template <class KV>
static void votes_of(const Heads& heads, const Cache& store, int layer, const float* queries, int from, int to, std::vector<float>& votes) {
    const int size = heads.head_size, group = heads.heads / heads.key_heads, count = to - from;
    const size_t stride = (size_t)(count + KEYS - 1) / KEYS * KEYS;
    const float factor = 1.0f / std::sqrt((float)size);
    std::vector<float> scaled(queries, queries + heads.heads * size), scores(stride * group), packed((size_t)size * QUERIES);
    for (float& value : scaled) value *= factor;
    votes.assign(stride, 0.0f);
    for (int head = 0; head < heads.key_heads; head++) {
        const Side<KV> side(heads, store, layer * heads.key_heads + head);
        std::vector<const float*> rows(group);
        for (int q = 0; q < group; q++) rows[q] = &scaled[(head * group + q) * size];
        in_tiles(group, [&](auto q, int first) {
            score_keys<q.value>(&rows[first], (const KV*)side.key(from), size, count, &scores[first * stride], stride, packed.data());
        });
        for (int q = 0; q < group; q++) {
            float* here = &scores[q * stride];
            const f32x8 total = splat(soften(here, Sight{count, count, nullptr}));
            for (int slot = 0; slot < count; slot += 8) ::store(&votes[slot], load8(&votes[slot]) + load8(here + slot) / total);
        }
    }
}

static void each_layer(const Heads& heads, int layers, const std::function<void(int)>& body) {
    Threads threads(std::min(heads.threads, layers));
    threads.each(layers, [&](int layer, int) { body(layer); });
}

template <class KV>
static void choose(const Heads& heads, const Cache& store, int layer, const float* queries, int from, int to, int count, int32_t* chosen) {
    std::vector<float> votes;
    votes_of<KV>(heads, store, layer, queries, from, to, votes);
    std::vector<int32_t> order(to - from);
    std::iota(order.begin(), order.end(), 0);
    std::nth_element(order.begin(), order.begin() + (count - 1), order.end(), [&](int one, int other) {
        return votes[one] != votes[other] ? votes[one] > votes[other] : one < other;  // of equals the first
    });
    std::sort(order.begin(), order.begin() + count);
    for (int number = 0; number < count; number++) chosen[number] = from + order[number];
}

template <class KV>
static void absorb(const Heads& heads, const Cache& list, const Cache& store, int from, int to, int count, const float* cosines, const float* sines) {
    const int half = heads.head_size / 2;
    each_layer(heads, heads.layers, [&](int layer) {
        for (int head = layer * heads.key_heads; head < (layer + 1) * heads.key_heads; head++) {
            const Side<KV> source(heads, list, head), target(heads, store, head);
            for (int row = 0; row < count; row++) {
                const size_t turn = (size_t)(from + row) * half;
                move(source, from + row, target, to + row, cosines + turn, sines + turn, -1.0f);
            }
        }
    });
}

template <class KV>
static void gather(const Heads& heads, const Cache& store, const Cache& list, int layer, const int32_t* slots, int count, int to, const float* cosines, const float* sines) {
    const int half = heads.head_size / 2;
    for (int head = layer * heads.key_heads; head < (layer + 1) * heads.key_heads; head++) {
        const Side<KV> source(heads, store, head), target(heads, list, head);
        for (int row = 0; row < count; row++) {
            const size_t turn = (size_t)(to + row) * half;
            move(source, slots[row], target, to + row, cosines + turn, sines + turn, 1.0f);
        }
    }
}

extern "C" {

// Rows [from, from + count) of the list become rows from `to` on of the store, turned back. Tables: (positions, size / 2).
void memberwise_absorb(const Heads* heads, const Cache* list, const Cache* store, int from, int to, int count, const float* cosines, const float* sines) {
    if (heads->is_bfloat16) absorb<bfloat16>(*heads, *list, *store, from, to, count, cosines, sines);
    else absorb<float>(*heads, *list, *store, from, to, count, cosines, sines);
}

// The `count` slots of [from, to) with most votes, ascending, in one layer. queries: (heads, size), not rotated.
void memberwise_choose(const Heads* heads, const Cache* store, const float* queries, int layer, int from, int to, int count, int32_t* chosen) {
    if (heads->is_bfloat16) choose<bfloat16>(*heads, *store, layer, queries, from, to, count, chosen);
    else choose<float>(*heads, *store, layer, queries, from, to, count, chosen);
}

// Rows `slots` of the store become rows from `to` on of the list, in one layer.
void memberwise_gather(const Heads* heads, const Cache* store, const Cache* list, int layer, const int32_t* slots, int count, int to, const float* cosines, const float* sines) {
    if (heads->is_bfloat16) gather<bfloat16>(*heads, *store, *list, layer, slots, count, to, cosines, sines);
    else gather<float>(*heads, *store, *list, layer, slots, count, to, cosines, sines);
}
}
