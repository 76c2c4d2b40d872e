// What is left of half-read messages: shown to the session again, in front of what comes next.
// Nearly always empty, and then no more than a pointer.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace pgsidecar::io {

class rest {
  public:
    [[nodiscard]] bool empty() const noexcept { return !bytes_; }
    void clear() noexcept { bytes_.reset(); }
    // What was left with `fresh` behind it; valid until the next call.
    [[nodiscard]] std::string_view join(std::string_view fresh) {
        if (!bytes_) return fresh;
        bytes_->append(fresh);
        return *bytes_;
    }
    // Of what join() gave, the first `used` bytes were taken.
    void keep(std::string_view joined, std::size_t used) {
        if (used == joined.size())
            bytes_.reset();
        else if (bytes_)
            bytes_->erase(0, used);
        else
            bytes_ = std::make_unique<std::string>(joined.substr(used));
    }

  private:
    std::unique_ptr<std::string> bytes_;
};

}  // namespace pgsidecar::io
