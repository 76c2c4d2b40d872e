// What the server still owes a session: one item for each message sent that has an answer of its
// own, in the order sent. The reply side takes them off as answers arrive; an error takes off
// everything up to the Sync that ends it, as the server skips it. Empty for an idle session, and
// then without memory. Protocol 3.0, "Message Flow".
#pragma once
#include <boost/circular_buffer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/entry.h"
#include "policy/reason.h"
#include "proxy/core/prepared.h"

namespace pgsidecar::core {

enum class reply : std::uint8_t {
    parse,
    bind,
    describe_statement,
    describe_portal,
    execute,
    close,
    sync,
    query,
    function_call,
    copy_end,  // CopyDone or CopyFail was sent here; answered by nothing
};

struct owed_reply {
    reply what = reply::sync;
    bool injected = false;  // ours: the client must not see its answer
    bool close_statement = false;
    bool page_over = false;         // the row behind the page has come
    bool stands_for_parse = false;  // a Close was sent instead, for it is prepared there
    policy::reason why = policy::reason::unknown_statement;  // query, execute: it was not answered
    std::int16_t fill = -1;               // which of the session's fills records this answer
    std::uint32_t page = 0;               // execute: rows after which the answer ends; 0 = none
    std::uint32_t done = 0;               // query: statements that have completed
    std::uint32_t added = 0;              // parse: its number among the server's statements
    std::uint32_t number = 0;             // bind, describe: of a shared statement, at the server
    std::uint32_t taints = 0;             // the session's count of taints when this was sent
    std::uint64_t definitions = 0;        // bind: that its success says something of; see prepared
    cache::time_point since{};            // query, execute: when it was first shown
    std::string name{};                   // parse, close, describe, bind: the statement
    prepared_statements::views before{};  // parse, close: to return to when it was refused
    // parse: what it makes; bind, execute: of a shared statement; bind with `definitions`
    prepared_ptr definition{};
    std::shared_ptr<const statement_text> text{};  // query, execute
    std::shared_ptr<const plan> effects{};
    // Stands in for the error that the server answers with: it was sent something that fails, in
    // the place of what a limit refused.
    std::shared_ptr<const std::string> refusal{};
    struct dropped {
        std::size_t statement;  // its place in the text
        std::vector<prepared_statements::slot> slots;
    };
    struct made {
        std::size_t statement;  // its place in the text
        std::string name;
        prepared_ptr definition;
    };
    // query, execute, when it was refused: what is to be restored, and what is not there.
    struct by_sql {
        std::vector<dropped> deallocates;
        std::vector<made> prepares;
    };
    std::unique_ptr<by_sql> statements{};

    [[nodiscard]] by_sql& changes() {
        if (!statements) statements = std::make_unique<by_sql>();
        return *statements;
    }
    [[nodiscard]] bool defines(std::string_view statement) const noexcept {
        const bool shared = injected && added != 0;  // under a name of ours
        return !shared && (what == reply::parse || close_statement) && name == statement;
    }
    // What is restored under that name if it did not DEALLOCATE it after all; null: it does not.
    [[nodiscard]] prepared_statements::views* deallocates(std::string_view statement) const {
        if (!statements) return nullptr;
        for (auto& d : statements->deallocates)
            for (auto& slot : d.slots)
                if (slot.name == statement) return &slot.both;
        return nullptr;
    }
};

class owed_replies {
  public:
    [[nodiscard]] bool empty() const noexcept { return !items_ || items_->empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_ ? items_->size() : 0; }
    [[nodiscard]] owed_reply& front() { return items_->front(); }
    [[nodiscard]] owed_reply& back() { return items_->back(); }
    [[nodiscard]] owed_reply& at(std::size_t i) { return (*items_)[i]; }
    owed_reply& push(owed_reply&& item) {
        if (!items_) items_ = take_spare();
        if (items_->full()) items_->set_capacity(items_->capacity() * 2);
        items_->push_back(std::move(item));
        return items_->back();
    }
    void pop() { items_->pop_front(); }
    void erase(std::size_t i) { items_->erase(items_->begin() + static_cast<std::ptrdiff_t>(i)); }
    // Once empty: to whoever of this thread is owed next.
    void release_memory() {
        if (items_ && items_->capacity() <= most_spared && spares().size() < most_spares)
            spares().push_back(std::move(items_));
        items_.reset();
    }

  private:
    // An item moves when more are owed than ever before: references end there.
    using queue = std::unique_ptr<boost::circular_buffer<owed_reply>>;
    static constexpr std::size_t most_spares = 64;
    static constexpr std::size_t first_capacity = 8;  // a batch of the usual length
    static constexpr std::size_t most_spared = 16;

    // Idle sessions are many, few are owed something at a time.
    [[nodiscard]] static std::vector<queue>& spares() {
        static thread_local std::vector<queue> of_thread;
        return of_thread;
    }
    [[nodiscard]] static queue take_spare() {
        auto& all = spares();
        if (all.empty())
            return std::make_unique<boost::circular_buffer<owed_reply>>(first_capacity);
        auto one = std::move(all.back());
        all.pop_back();
        return one;
    }

    queue items_;
};

}  // namespace pgsidecar::core
