// Where the end of a sequence stood before: an index of token ids that grows and shrinks at its end.
//
// Every end of a position is linked to the one before it with the same last tokens, four of them and two, by a table of
// hashes. Growing by a token is two links, shrinking takes them back, so an index follows a sequence that is edited. A
// hash that two runs of tokens share is found out when they are compared. Knows nothing of models.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

constexpr int LONGEST = 32;      // tokens of a match that are counted
constexpr int MOST_LOOKED = 64;  // places that are compared for one end; the latest first

class Links {
  public:
    explicit Links(int tokens) : tokens(tokens), newest(1024, -1) {}

    void add(const std::vector<int32_t>& ids, int end) {
        if (before.size() * 2 > newest.size()) grow(ids);
        link(ids, end);
    }

    void remove(const std::vector<int32_t>& ids, int end) {
        if (end >= tokens) newest[slot(&ids[end])] = before[end];
        before.pop_back();
    }

    // Calls look(end) for places where the last tokens before `tail` may stand, until it returns false.
    template <class Look>
    void each(const int32_t* tail, int count, const Look& look) const {
        if (count < tokens) return;
        int left = MOST_LOOKED;
        for (int end = newest[slot(tail)]; end >= 0 && left-- && look(end);) end = before[end];
    }

  private:
    size_t slot(const int32_t* behind) const {
        uint64_t hash = 0;
        for (int back = 1; back <= tokens; back++) hash = (hash ^ (uint32_t)behind[-back]) * 0x9e3779b97f4a7c15ull;
        return (hash >> 32) & (newest.size() - 1);
    }

    void link(const std::vector<int32_t>& ids, int end) {
        int previous = -1;
        if (end >= tokens) std::swap(previous = end, newest[slot(&ids[0] + end)]);
        before.push_back(previous);
    }

    void grow(const std::vector<int32_t>& ids) {
        const int count = (int)before.size();
        newest.assign(newest.size() * 4, -1);
        before.clear();
        for (int end = 0; end < count; end++) link(ids, end);
    }

    int tokens;
    std::vector<int32_t> newest;  // by hash
    std::vector<int32_t> before;  // of each end
};

struct SuffixIndex {
    std::vector<int32_t> ids;
    Links four{4}, two{2};

    void truncate(int count) {
        while ((int)ids.size() > count) {
            four.remove(ids, (int)ids.size() - 1);
            two.remove(ids, (int)ids.size() - 1);
            ids.pop_back();
        }
    }

    // An end is linked when a token follows it: one that nothing follows is not worth finding.
    void append(int32_t token) {
        ids.push_back(token);
        four.add(ids, (int)ids.size() - 1);
        two.add(ids, (int)ids.size() - 1);
    }

    int find(const int32_t* tail, int count, int& best_end) const {
        int best = 0;
        const auto look = [&](int end) {
            const int most = std::min({count, end, LONGEST});
            int match = 0;
            while (match < most && ids[end - 1 - match] == tail[count - 1 - match]) match++;
            if (match > best) best = match, best_end = end;
            return best < LONGEST;
        };
        four.each(tail + count, count, look);
        if (best < 4) two.each(tail + count, count, look);
        return best < 2 ? 0 : best;
    }
};

}  // namespace

extern "C" {

void* memberwise_index_create() { return new SuffixIndex; }

void memberwise_index_destroy(void* index) { delete (SuffixIndex*)index; }

void memberwise_index_update(void* index, int kept, const int32_t* added, int count) {
    ((SuffixIndex*)index)->truncate(kept);
    for (int i = 0; i < count; i++) ((SuffixIndex*)index)->append(added[i]);
}

// How many tokens at the end of `tail` stood before, and where they ended; 0 when fewer than two did.
int memberwise_index_find(const void* index, const int32_t* tail, int count, int32_t* end) {
    int found = 0;
    const int match = ((const SuffixIndex*)index)->find(tail, count, found);
    *end = found;
    return match;
}
}
