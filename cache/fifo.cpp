#include "cache/fifo.h"

#include <cassert>

namespace pgsidecar::cache {

void fifo::push(entry* e) noexcept {
    assert(e->queue_ == 0);
    e->queue_ = name_;
    e->newer_ = nullptr;
    e->older_ = newest_;
    (newest_ != nullptr ? newest_->newer_ : oldest_) = e;
    newest_ = e;
    ++size_;
    bytes_ += e->footprint();
    payload_ += e->key_size_ + e->body_size_;
}

void fifo::remove(entry* e) noexcept {
    assert(holds(e));
    (e->older_ != nullptr ? e->older_->newer_ : oldest_) = e->newer_;
    (e->newer_ != nullptr ? e->newer_->older_ : newest_) = e->older_;
    e->older_ = e->newer_ = nullptr;
    e->queue_ = 0;
    --size_;
    bytes_ -= e->footprint();
    payload_ -= e->key_size_ + e->body_size_;
}

void fifo::moved(entry* to) noexcept {
    (to->older_ != nullptr ? to->older_->newer_ : oldest_) = to;
    (to->newer_ != nullptr ? to->newer_->older_ : newest_) = to;
}

void fifo::rotate() noexcept {
    entry* e = oldest_;
    remove(e);
    push(e);
}

}  // namespace pgsidecar::cache
