// Bytes on their way to one peer, in order, gathered from three places without copying more than
// needed: views into the read buffer (forwarded frames), entries of the cache (kept alive here),
// and bytes the session made itself. Owned by a worker and reused for every call; the views are
// dead once the read buffer is next prepared, so the pump writes (or copies the rest) before it
// reads again.
#pragma once
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.h"

namespace pgsidecar::core {

class outbox {
  public:
    // Neighbouring views of one buffer become one piece: a run of forwarded frames is one write.
    void forward(std::string_view piece) {
        if (piece.empty()) return;
        if (!pieces_.empty() && pieces_.back().data() + pieces_.back().size() == piece.data())
            pieces_.back() = {pieces_.back().data(), pieces_.back().size() + piece.size()};
        else
            pieces_.push_back(piece);
        size_ += piece.size();
    }
    void literal(std::string_view constant) { forward(constant); }
    void own(std::string made) {
        made_.push_back(std::move(made));
        forward(made_.back());
    }
    void answer(cache::entry_ptr entry) {
        forward(entry->body());
        kept_.push_back(std::move(entry));
    }

    [[nodiscard]] const std::vector<std::string_view>& pieces() const noexcept { return pieces_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    void clear() noexcept {
        pieces_.clear();
        if (!made_.empty()) made_.clear();  // nearly always empty, and a deque is slow to see it
        kept_.clear();
        size_ = 0;
    }

  private:
    std::vector<std::string_view> pieces_;
    std::deque<std::string> made_;  // a deque, so that views of small strings stay put
    std::vector<cache::entry_ptr> kept_;
    std::size_t size_ = 0;
};

}  // namespace pgsidecar::core
