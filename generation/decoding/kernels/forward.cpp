// The forward of a Llama-like network over trees of tokens, one of each sequence: embedding, layers, logits.
//
// The rows of all sequences share the reading of the weights; each attends to its own cache only.
//
// Called through the C functions at the end, by generation/decoding/llama/native.py. Memory of weights and of caches
// belongs to the caller; a Network owns its threads and its work space, and serves one caller at a time.
// Start reading at Pass::run.

#include "sequences.h"
#include "threads.h"

#include <chrono>

struct Layer {
    Matrix qkv, attention_out, gate_up, down;
    const float *attention_norm, *mlp_norm;
    const float *query_norm, *key_norm;  // (head size,), null without
};

typedef int (*Stop)();

// What time is counted for, in the order of `STEP_PARTS` in native.py.
enum StepPart { NORMS, QKV, PLACING, ATTENTION, ATTENTION_OUT, GATE_UP, GATE, DOWN, HEAD, STEP_PARTS };

struct Network {
    Shape shape;
    std::vector<Layer> layers;
    Matrix embedding, head;
    const float* final_norm;
    const float* prompt_tokens = nullptr;  // (any, hidden), of the ids behind the vocabulary
    Threads threads;

    std::vector<float> hidden, normed, qkv, mixed, gate_up, row_scales;
    std::vector<int32_t> row_starts;
    std::vector<char> row_values;
    std::vector<std::vector<float>> scratch;

    bool tiles = false;  // whether its rows are those of Int8Tiles

    double times_ms[STEP_PARTS] = {};  // since they were read
    std::chrono::steady_clock::time_point last;

    // What happened since the last lap was this part.
    void lap(StepPart part) {
        const auto now = std::chrono::steady_clock::now();
        times_ms[part] += std::chrono::duration<double, std::milli>(now - last).count();
        last = now;
    }

    Network(const Shape& shape, const Layer* from, Matrix embedding, Matrix head, const float* final_norm, int thread_count)
        : shape(shape), layers(from, from + shape.layers), embedding(embedding), head(head), final_norm(final_norm),
          threads(thread_count), scratch(thread_count) {
#if defined(MEMBERWISE_AMX)
        tiles = shape.is_int8 && tiles_work() && Int8Tiles::fits(shape.hidden) && Int8Tiles::fits(shape.heads * shape.head_size) && Int8Tiles::fits(shape.intermediate);
#endif
    }
};

static void normalise(const float* from, const float* weight, float* to, int size, float epsilon) {
    f32x8 squares = splat(0.0f);
    for (int k = 0; k < size; k += 8) squares = fma(load8(from + k), load8(from + k), squares);
    const f32x8 factor = splat(1.0f / std::sqrt(sum(squares) / (float)size + epsilon));
    for (int k = 0; k < size; k += 8) store(to + k, load8(from + k) * factor * load8(weight + k));
}

// Halves of a head are real and imaginary parts (Hugging Face's order).
static void rotate(float* head, const float* cosines, const float* sines, int size) {
    for (int d = 0; d < size / 2; d++) {
        const float real = head[d], imaginary = head[d + size / 2];
        head[d] = real * cosines[d] - imaginary * sines[d];
        head[d + size / 2] = imaginary * cosines[d] + real * sines[d];
    }
}

template <class V>
static int gate_vectors(float* row, int size, int k) {
    constexpr int lanes = sizeof(V) / sizeof(float);
    for (; k + lanes <= size; k += lanes) {
        const V x = load<V>(row + k);
        store(row + k, x / (1.0f + exponential(-x)) * load<V>(row + size + k));
    }
    return k;
}

static void gate(float* row, int size) { gate_vectors<f32x8>(row, size, gate_vectors<wide>(row, size, 0)); }

template <class Kind, class KV>
struct Pass {
    Network& net;
    const Shape& shape;
    const std::vector<Part>& parts;
    const float *cosines, *sines;  // (positions, head size / 2)
    std::vector<const Part*> owners;  // of each row
    std::vector<Span> spans;
    std::vector<int> wanted;  // rows that get logits

    Pass(Network& net, const std::vector<Part>& parts, const float* cosines, const float* sines)
        : net(net), shape(net.shape), parts(parts), cosines(cosines), sines(sines) {
        for (const Part& part : parts) {
            owners.insert(owners.end(), part.rows(), &part);
            for (int row = part.rows() - part.tree.logits; row < part.rows(); row++) wanted.push_back(part.start + row);
            const int together = part.chained && !part.chooses() ? rows_together() : 1;
            for (int row = 0; row < part.rows(); row += together) spans.push_back({&part, row, std::min(together, part.rows() - row)});
        }
    }

    static constexpr bool int8 = !std::is_same<Kind, Float32>::value;
    static constexpr int fewest_blocks = 6, most_blocks = 24;  // of a matrix at once, for a thread

    // That follow each other and share the loads of keys and values.
    int rows_together() const {
        const int group = shape.heads / shape.key_heads;
        return int8 && tiles_work() ? TILE_ROWS : std::max(1, QUERIES / group);
    }

    int queries() const { return shape.heads * shape.head_size; }
    // Not a power of two, which would send all rows to the same few lines of the cache.
    size_t gate_stride() const { return (size_t)2 * shape.intermediate + LANES; }
    int row_width() const { return (shape.heads + 2 * shape.key_heads) * shape.head_size; }
    int rows() const { return (int)owners.size(); }

    // 0, or 1 when `stop` said so; then the caches hold nothing new that counts.
    int run(float* logits, Stop stop) {
        net.last = std::chrono::steady_clock::now();
        reserve();
        each_row(rows(), [&](int row) { embed(row); });
        for (int number = 0; number < shape.layers; number++) {
            if (stop && stop()) return 1;
            attention(net.layers[number], number);
            mlp(net.layers[number]);
        }
        output(logits);
        return 0;
    }

    void reserve() {
        const size_t count = rows();
        net.hidden.resize(count * shape.hidden);
        net.normed.resize(count * shape.hidden);
        net.qkv.resize(count * row_width());
        net.mixed.resize(count * queries());
        net.gate_up.resize(count * gate_stride());
        const int widest = std::max({shape.hidden, queries(), shape.intermediate});
        const size_t row_count = std::max(count, (size_t)Kind::head_parts * wanted.size()) + TILE_ROWS;
        net.row_values.resize(row_count * widest * sizeof(typename Kind::Row));
        net.row_scales.resize(row_count * Kind::groups(widest));
        net.row_starts.resize(row_count * Kind::groups(widest));
    }

    void embed(int row) {
        const Part& part = *owners[row];
        const int token = part.tree.tokens[part.tree.first + row - part.start], lane = token % LANES;
        const Matrix& matrix = net.embedding;
        float* out = &net.hidden[(size_t)row * shape.hidden];
        if (token >= shape.vocabulary) {
            std::copy_n(net.prompt_tokens + (size_t)(token - shape.vocabulary) * shape.hidden, shape.hidden, out);
            return;
        }
        const size_t block = (size_t)(token / LANES) * LANES * matrix.columns;
        for (int k = 0; k < shape.hidden; k++) {
            if (int8) out[k] = (((const uint8_t*)matrix.data)[block + (k / 4 * LANES + lane) * 4 + k % 4] - 128) * matrix.scale[token];
            else out[k] = ((const float*)matrix.data)[block + (size_t)k * LANES + lane];
        }
    }

    void attention(const Layer& layer, int number) {
        norm_rows(layer.attention_norm, nullptr, rows());
        net.lap(NORMS);
        multiply(layer.qkv, net.normed.data(), net.qkv.data(), row_width(), false, rows());
        net.lap(QKV);
        each_row(rows(), [&](int row) { place_row(layer, number, row); });
        net.lap(PLACING);
        net.threads.each((int)spans.size() * shape.key_heads, [&](int item, int thread) {
            attend_rows(number, spans[item % spans.size()], item / (int)spans.size(), net.scratch[thread]);  // a head stays in the cache
        });
        net.lap(ATTENTION);
        quantise(net.mixed.data(), queries());
        multiply(layer.attention_out, net.mixed.data(), net.hidden.data(), shape.hidden, true, rows());
        net.lap(ATTENTION_OUT);
    }

    void mlp(const Layer& layer) {
        norm_rows(layer.mlp_norm, nullptr, rows());
        net.lap(NORMS);
        const int width = shape.intermediate;
        multiply(layer.gate_up, net.normed.data(), net.gate_up.data(), gate_stride(), false, rows());
        net.lap(GATE_UP);
        each_row(rows(), [&](int row) {
            float* here = &net.gate_up[row * gate_stride()];
            gate(here, width);
            quantise_row(here, row, width);
        });
        if (!int8)  // rows of a product lie close together
            for (int row = 1; row < rows(); row++)
                std::copy_n(&net.gate_up[row * gate_stride()], width, &net.gate_up[(size_t)row * width]);
        net.lap(GATE);
        multiply(layer.down, net.gate_up.data(), net.hidden.data(), shape.hidden, true, rows());
        net.lap(DOWN);
    }

    void output(float* logits) {
        const int count = (int)wanted.size(), size = shape.hidden;
        if (!count) return;
        norm_rows(net.final_norm, wanted.data(), count);
        if (Kind::head_parts > 1)
            each_row(count, [&](int row) {
                float* normed = &net.normed[(size_t)row * size];
                Kind::remainder(normed, row_at(row, size), &net.row_scales[row * Kind::groups(size)], size);
                quantise_row(normed, count + row, size);
            });
        multiply(net.head, net.normed.data(), logits, shape.vocabulary, false, count, Kind::head_parts);
        net.lap(HEAD);
    }

    // ------------------------------------------------------------------------------------------ parts

    // body(row) for each of `count` rows. A thread takes some that follow each other: neighbours write to the same lines of the
    // cache, keys of a block most of all, and few rows are done before a second thread has begun.
    template <class Body>
    void each_row(int count, const Body& body) {
        net.threads.each((count + KEYS - 1) / KEYS, [&](int run, int) {
            for (int row = run * KEYS; row < std::min(count, (run + 1) * KEYS); row++) body(row);
        });
    }

    // `count` rows, or those in `chosen`, normalised and quantised, at the start of the work space.
    void norm_rows(const float* weight, const int* chosen, int count) {
        each_row(count, [&](int row) {
            float* normed = &net.normed[(size_t)row * shape.hidden];
            normalise(&net.hidden[(size_t)(chosen ? chosen[row] : row) * shape.hidden], weight, normed, shape.hidden, shape.norm_epsilon);
            quantise_row(normed, row, shape.hidden);
        });
    }

    typename Kind::Row* row_at(int row, int columns) { return (typename Kind::Row*)net.row_values.data() + (size_t)row * columns; }

    void quantise_row(const float* from, int row, int columns) {
        const int groups = Kind::groups(columns);
        Kind::quantise_row(from, row_at(row, columns), net.row_scales.data() + row * groups, net.row_starts.data() + row * groups, columns);
    }

    void quantise(const float* from, int columns) {
        if (!int8) return;
        each_row(rows(), [&](int row) {
            quantise_row(from + (size_t)row * columns, row, columns);
        });
    }

    // Rows may have several parts, the second ones behind all first ones; their products are added.
    void multiply(const Matrix& matrix, const float* from, float* out, int stride, bool add, int count, int parts = 1) {
        const int total = blocks(matrix), some = std::clamp(total / (8 * net.threads.size()), fewest_blocks, most_blocks);
        const Product product{matrix, int8 ? (const void*)net.row_values.data() : (const void*)from, net.row_scales.data(), net.row_starts.data(), out, (size_t)stride, count, add};
        net.threads.each((total + some - 1) / some, [&](int chunk, int) {
            multiply_blocks<Kind>(product, chunk * some, std::min(some, total - chunk * some), count * parts);
        });
    }

    // Rotate a row's queries and keys; its keys and values go into the cache.
    void place_row(const Layer& layer, int number, int row) {
        const Part& part = *owners[row];
        const Cache& cache = part.cache;
        const int node = part.tree.first + row - part.start, slot = cache.length + node, position = cache.length + part.depths[node];
        const int size = shape.head_size;
        float* heads = &net.qkv[(size_t)row * row_width()];
        for (int head = 0; head < shape.heads + shape.key_heads; head++) {
            float* here = heads + head * size;
            const float* norm = head < shape.heads ? layer.query_norm : layer.key_norm;
            if (norm) normalise(here, norm, here, size, shape.norm_epsilon);
            rotate(here, cosines + (size_t)position * (size / 2), sines + (size_t)position * (size / 2), size);
        }
        const float factor = 1.0f / std::sqrt((float)size);
        for (int d = 0; d < queries(); d++) heads[d] *= factor;
        for (int head = 0; head < shape.key_heads; head++) {
            const float* key = heads + (shape.heads + head) * size;
            key_head<KV>(shape, cache, number * shape.key_heads + head).store_slot(slot, key, key + shape.key_heads * size);
            if (cache.choice) codes_of(shape, cache, number * shape.key_heads + head).put(key, size, slot);
        }
    }

    // What a row looks at of a key head; `last` counts the positions it sees, `blocks` keeps what was chosen.
    Sight choose(const Cache& cache, int number, int head, const float* const* queries, int last, std::vector<int>& blocks) {
        blocks = choose_blocks(*cache.choice, last, {queries, shape.heads / shape.key_heads, shape.head_size, codes_of(shape, cache, number * shape.key_heads + head), cosines, sines});
        Sight sight{0, 0, nullptr};
        if (blocks.empty()) return sight;
        sight.leading = (int)blocks.size() * KEYS, sight.blocks = blocks.data();
        sight.skipped = cache.choice->window_start(last) - sight.leading;
        if (last > cache.choice->trained) sight.room = cache.choice->room(last), sight.cosines = cosines, sight.sines = sines;
        return sight;
    }

    // The rows of a span are of a chain and share the loads of keys and values, or there is one.
    void attend_rows(int number, const Span& span, int head, std::vector<float>& scratch) {
        const Part& part = *span.part;
        const Cache& cache = part.cache;
        const int size = shape.head_size, group = shape.heads / shape.key_heads, count = span.count, row = part.start + span.row;
        const int node = part.tree.first + span.row + count - 1, last = cache.length + part.depths[node] + 1;
        const int slots_used = part.chained ? last : cache.length + node + 1;
        std::vector<const float*> from(group * count);
        std::vector<float*> to(group * count);
        std::vector<int> seen(group * count), blocks;
        for (int query = 0; query < group * count; query++) {
            const int here = query / group;
            const size_t offset = (size_t)(head * group + query % group) * size;
            from[query] = &net.qkv[(size_t)(row + here) * row_width()] + offset;
            to[query] = &net.mixed[(size_t)(row + here) * queries()] + offset;
        }
        Sight sight = cache.choice && last > cache.choice->from ? choose(cache, number, head, from.data(), last, blocks) : Sight{0, 0, nullptr};
        sight.count = last - sight.skipped, sight.run = (part.chained ? last : cache.length) - sight.skipped;
        sight.tail = part.chained ? nullptr : &part.tails[(size_t)node * part.tree.count];
        for (int query = 0; query < group * count; query++) seen[query] = sight.count - (count - 1 - query / group);
        attend(from.data(), seen.data(), group * count, key_head<KV>(shape, cache, number * shape.key_heads + head), slots_used, sight, to.data(), scratch);
    }
};

extern "C" {

// What the multiplication of the layers is made of.
const char* memberwise_instructions() {
    if (tiles_work()) return "AMX";
#if defined(MEMBERWISE_VNNI)
    return "AVX-512 VNNI";
#elif defined(MEMBERWISE_AVX_VNNI)
    return "AVX-VNNI";
#elif defined(MEMBERWISE_AVX2)
    return "AVX2";
#elif defined(MEMBERWISE_NEON)
    return "NEON";
#else
    return "portable";
#endif
}

Network* memberwise_create(const Shape* shape, const Layer* layers, const Matrix* embedding, const Matrix* head, const float* final_norm, int threads) {
    return new Network(*shape, layers, *embedding, *head, final_norm, threads);
}

void memberwise_prompt_tokens(Network* network, const float* embeddings) { network->prompt_tokens = embeddings; }

void memberwise_destroy(Network* network) { delete network; }

// One tree of each of `count` sequences; the rows of logits follow each other in their order.
int memberwise_forward(Network* network, const Cache* caches, const Tree* trees, int count, const float* cosines, const float* sines, float* logits, Stop stop) {
    std::vector<Part> parts;
    for (int number = 0, start = 0; number < count; start += parts[number++].rows()) parts.emplace_back(caches[number], trees[number], start);
#if defined(MEMBERWISE_AMX)
    if (network->tiles) return Pass<Int8Tiles, bfloat16>(*network, parts, cosines, sines).run(logits, stop);
#endif
    if (network->shape.is_int8) return Pass<Int8, Rounded>(*network, parts, cosines, sines).run(logits, stop);
    return Pass<Float32, float>(*network, parts, cosines, sines).run(logits, stop);
}

// How many numbers a block of keys, or of values, of one key head takes: float32, or of 16 bits in int8 networks.
int memberwise_block_numbers(const Shape* shape) {
    return (int)(shape->is_int8 ? KeyHead<Rounded>::block_numbers(shape->head_size) : KeyHead<float>::block_numbers(shape->head_size));
}

// Milliseconds of each part since the last call.
void memberwise_times(Network* network, double* out) {
    std::copy_n(network->times_ms, STEP_PARTS, out);
    std::fill_n(network->times_ms, STEP_PARTS, 0.0);
}

// Which blocks a row that sees `seen` positions chooses for a key head, ascending; how many. queries: (group, size), rotated.
int memberwise_blocks(const Shape* shape, const Cache* cache, int head, int seen, const float* queries, const float* cosines, const float* sines, int32_t* out) {
    std::vector<const float*> rows(shape->heads / shape->key_heads);
    for (size_t query = 0; query < rows.size(); query++) rows[query] = queries + query * shape->head_size;
    const std::vector<int> blocks = choose_blocks(*cache->choice, seen, {rows.data(), (int)rows.size(), shape->head_size, codes_of(*shape, *cache, head), cosines, sines});
    std::copy(blocks.begin(), blocks.end(), out);
    return (int)blocks.size();
}

void memberwise_keep(const Network* network, const Cache* cache, const int32_t* path, int count) {
    if (network->shape.is_int8) keep<Rounded>(network->shape, *cache, path, count);
    else keep<float>(network->shape, *cache, path, count);
}
}
