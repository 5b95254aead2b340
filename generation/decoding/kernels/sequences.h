// What a forward is told of each sequence: its keys and values, and the tree of tokens that is to be run behind them.
#pragma once

#include "attention.h"
#include "linear.h"
#include "selection.h"

struct Shape {
    int32_t layers, hidden, heads, key_heads, head_size, intermediate, vocabulary;
    int32_t is_int8;
    float norm_epsilon;
};

struct Cache {
    void *keys, *values;
    int32_t slots;   // capacity
    int32_t length;  // committed
    const Choice* choice;  // null where rows see everything; then there are no codes
    uint8_t* codes;        // of all key heads of all layers, see selection.h
    float* code_scales;    // (layers, key heads, slots)
};

// Of all key heads of all layers, the one numbered `head`.
template <class KV>
static KeyHead<KV> key_head(const Shape& shape, const Cache& cache, int head) {
    const size_t start = head * (cache.slots / KEYS * KeyHead<KV>::block_numbers(shape.head_size));
    return {(KV*)cache.keys + start, (KV*)cache.values + start, shape.head_size};
}

static Codes codes_of(const Shape& shape, const Cache& cache, int head) {
    const int size = code_size(shape.head_size);
    return {cache.codes + (size_t)head * cache.slots * size, cache.code_scales + (size_t)head * cache.slots, size};
}

// Node i lies in slot length + i of the cache. Nodes before `first` lie there already; a row is computed for each other.
struct Tree {
    int32_t count, first;
    const int32_t *tokens, *parents;
    int32_t logits;  // how many nodes, at the end, get a row of logits
};

// One sequence of a forward.
struct Part {
    const Cache& cache;
    const Tree& tree;
    int start;  // of its rows among those of all sequences
    bool chained = true;
    std::vector<int> depths, tails;  // tails: (count, count), the slots of a node's ancestors and of itself

    Part(const Cache& cache, const Tree& tree, int start) : cache(cache), tree(tree), start(start) { place(); }

    int rows() const { return tree.count - tree.first; }
    bool chooses() const { return cache.choice && cache.length + tree.count > cache.choice->from; }

    // Depths of the nodes and, unless the tree is a chain, the slots on the way to each.
    void place() {
        const int count = tree.count;
        depths.assign(count, 0);
        for (int node = 0; node < count; node++) {
            chained = chained && tree.parents[node] == node - 1;
            depths[node] = tree.parents[node] < 0 ? 0 : depths[tree.parents[node]] + 1;
        }
        if (chained) return;
        tails.resize((size_t)count * count);
        for (int node = 0; node < count; node++) {
            int* tail = &tails[(size_t)node * count];
            if (depths[node]) std::copy_n(&tails[(size_t)tree.parents[node] * count], depths[node], tail);
            tail[depths[node]] = cache.length + node;
        }
    }
};

// Rows of one part that attend together.
struct Span {
    const Part* part;
    int row, count;  // row: within the part
};

// Slots of a path come to lie behind the committed ones; the path goes downwards, so nothing is overwritten too early.
template <class KV>
static void keep(const Shape& shape, const Cache& cache, const int32_t* path, int count) {
    for (int head = 0; head < shape.layers * shape.key_heads; head++)
        for (int step = 0; step < count; step++) {
            const int from = cache.length + path[step], to = cache.length + step;
            if (from == to) continue;
            key_head<KV>(shape, cache, head).move(from, to);
            if (cache.choice) codes_of(shape, cache, head).move(from, to);
        }
}
