// Two sessions that share one server connection (pool_mode: transaction), between clients that say
// anything and a server that answers as one does, or says anything. The input is a list of orders:
// a byte that says what happens and to whom, then a number of two bytes, then, for bytes of a peer,
// that many of them. Required: no crash; nothing held beyond what must be whole; who does not have
// the connection writes nothing to the server; a connection is given back fit only when the server
// has answered all that was sent there, outside a transaction; clients get whole messages, one
// ReadyForQuery for each request; at the end no count is left behind.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/core/toy_crypto.h"
#include "tests/core/world.h"
#include "tests/fuzz/core_support.h"

using namespace core_test;
using namespace pgsidecar::core::fuzz;
using pgsidecar::protocol::fuzz::require;

namespace {

namespace wire = pgsidecar::protocol;

constexpr std::size_t clients = 2;

// Answers in form alone: one row for what asks for one, and the status that the words lead to.
class answering_server {
  public:
    // What it answers to that; `refuse`: the first of it by an error.
    std::string answer(std::string_view sent, bool refuse) {
        std::string out;
        rest_.append(sent);
        refuse_ = refuse;
        (void)take_messages(rest_, [&](const wire::frame& f) { answer(f, out); });
        return out;
    }
    // It owes nothing, and nothing is open.
    [[nodiscard]] bool at_rest() const { return rest_.empty() && status_ == 'I' && !open_; }

  private:
    void answer(const wire::frame& f, std::string& out) {
        if (f.type == 'S') {
            skips_ = open_ = false;
            return wire::write_ready(out, status_);
        }
        if (skips_) return;
        const bool simple = f.type == 'Q' || f.type == 'F';
        // A simple query ends what had no Sync.
        open_ = !simple && (open_ || "PBDEC"sv.find(f.type) != std::string_view::npos);
        if (std::exchange(refuse_, false)) {
            out += failed("42601");
            if (status_ == 'T') status_ = 'E';
            skips_ = !simple;
            if (simple) wire::write_ready(out, status_);
            return;
        }
        switch (f.type) {
            case 'Q':
                run(f.body.substr(0, f.body.size() - 1), out);
                return wire::write_ready(out, status_);
            case 'F':
                out += failed("0A000");
                return wire::write_ready(out, status_);
            case 'P':
                out += parse_complete();
                return;
            case 'B':
                out += bind_complete();
                return;
            case 'C':
                out += close_complete();
                return;
            case 'D':
                if (f.body.starts_with('S')) out += message(wire::parameter_description{});
                out += no_data();
                return;
            case 'E':
                out += completed("UPDATE 1");
                return;
            default:
                return;
        }
    }
    void run(std::string_view sql, std::string& out) {
        if (sql.empty()) {
            out += message(wire::empty_query_response{});
        } else if (sql.starts_with("BEGIN")) {
            status_ = status_ == 'I' ? 'T' : status_;
            out += completed("BEGIN");
        } else if (sql.starts_with("COMMIT") || sql.starts_with("ROLLBACK")) {
            out += completed(status_ == 'E' ? "ROLLBACK" : sql.substr(0, sql.find(' ')));
            status_ = 'I';
        } else if (sql.find("SELECT") != std::string_view::npos) {
            out += described() + row_of("1") + completed("SELECT 1");
        } else {
            if (sql.starts_with("SET application_name"))
                out += parameter("application_name", sql.substr(sql.find('\'')));
            out += completed(sql.substr(0, sql.find(' ')));
        }
    }

    std::string rest_;
    char status_ = 'I';
    bool open_ = false;  // extended messages since the last Sync
    bool skips_ = false;
    bool refuse_ = false;
};

// The shared connection, and the clients that want it.
class room : public pool_host {
  public:
    explicit room(world& w) {
        renew();
        for (std::size_t i = 0; i < clients; ++i)
            each_[i].wires = std::make_unique<wired>(w, token_of(i), 0, this);
    }

    void log_in(std::size_t i, bool with_tenant) {
        auto& l = *each_[i].wires;
        l.client(with_tenant ? client_startup({{"app.tenant_id", i == 0 ? "a" : "b"}})
                             : client_startup());
        settle();
        for (int round = 0; round < 4 && !l.session().logged_in(); ++round) answer(false);
        (void)l.to_client();
        each_[i].hears.emplace();
    }
    [[nodiscard]] wired& at(std::size_t i) { return *each_[i].wires; }

    void client(std::size_t i, std::string_view bytes) {
        if (at(i).closing) return;
        if (each_[i].hears) each_[i].hears->sent(bytes);
        at(i).client(bytes);
        settle();
    }
    // The server says that, whoever has the connection.
    void server(std::string_view bytes) {
        wild_ = true;
        tell(bytes);
    }
    // It answers what it has been sent.
    void answer(bool refuse) {
        // Of what it answers something new may follow.
        for (int round = 0; round < 3; ++round) {
            collect();
            const auto said =
                server_.answer(std::exchange(sent_, {}), std::exchange(refuse, false));
            if (said.empty()) return;
            tell(said);
        }
    }
    void cut_off() {
        if (holder_ >= 0 && !at(holder()).closing) {
            const auto i = holder();
            at(i).server_gone();
            if (holder_ == static_cast<int>(i)) vacate(false);
        } else if (holder_ < 0) {
            renew();
        }
        settle();
    }
    void leave(std::size_t i, bool politely) {
        if (at(i).closing) return;
        politely ? at(i).client_finished() : at(i).client_gone();
        settle();
    }
    void cancel_sent(std::size_t i) {
        if (!at(i).closing && std::exchange(at(i).cancel_due, false)) at(i).cancel_sent();
        settle();
    }
    void settle() {
        for (int turn = 0; turn < 8; ++turn) {
            collect();
            for (std::size_t i = 0; i < clients; ++i) {
                auto& l = at(i);
                // The pump closes the connection of a session that has ended with it.
                if (l.closing && holder_ == static_cast<int>(i)) vacate(false);
                if (l.closing) std::erase(waiting_, i);
                for (const auto& wake : l.wakes()) wake_up(wake);
                require(l.held() <= held_limit);
                if (each_[i].hears && !l.closing) each_[i].hears->told(l.to_client());
            }
            if (holder_ >= 0 || waiting_.empty()) return;
            const auto next = waiting_.front();
            waiting_.pop_front();
            holder_ = static_cast<int>(next);
            at(next).attach(*link_);
        }
    }
    // The session is closed whatever it is told then.
    void end(std::size_t i) {
        cancel_sent(i);
        leave(i, false);
        require(at(i).session().closed());
    }

  private:
    struct guest {
        std::unique_ptr<wired> wires;
        std::optional<listener> hears;
    };
    static std::uint64_t token_of(std::size_t i) { return (i + 1) << 20U; }
    static std::size_t of(std::uint64_t token) { return (token >> 20U) - 1; }
    [[nodiscard]] std::size_t holder() const { return static_cast<std::size_t>(holder_); }

    void wake_up(const core::wake_up& wake) {
        const auto i = of(wake.token);
        if (i < clients && !at(i).closing) at(i).wake(wake);
    }
    void tell(std::string_view bytes) {
        if (holder_ < 0) {
            if (!link_->take_idle(bytes)) renew();
            return settle();
        }
        auto& g = each_[holder()];
        if (g.hears) g.hears->answered(bytes);
        if (!g.wires->closing) g.wires->server(bytes);
        settle();
    }
    void collect() {
        for (std::size_t i = 0; i < clients; ++i) {
            const auto written = at(i).to_server();
            require(written.empty() || holder_ == static_cast<int>(i) || at(i).closing);
            if (holder_ == static_cast<int>(i)) sent_ += written;
        }
    }
    void vacate(bool fit) {
        holder_ = -1;
        if (!fit) renew();
    }
    void renew() {
        link_ = std::make_unique<core::server_link>();
        for (const auto name : {"server_encoding", "client_encoding"}) link_->report(name, "UTF8");
        link_->report("standard_conforming_strings", "on");
        link_->report("application_name", "");
        server_ = {};
        sent_.clear();
        wild_ = false;
    }

    void join(std::uint64_t token) override {
        at(of(token)).session().on_pool_joined(7, std::string(32, 'k'));
    }
    core::server_link* take_now(std::uint64_t token) override {
        if (holder_ >= 0 || !waiting_.empty()) return nullptr;
        holder_ = static_cast<int>(of(token));
        return link_.get();
    }
    void acquire(std::uint64_t token) override { waiting_.push_back(of(token)); }
    void forget(std::uint64_t token) override { std::erase(waiting_, of(token)); }
    void give_back(std::uint64_t token, std::string_view unread) override {
        const auto i = of(token);
        require(holder_ == static_cast<int>(i));
        sent_ += at(i).to_server();
        const bool fit = !link_->unfit && unread.empty();
        // A server that says anything may have claimed to be done.
        if (fit && !wild_) require(sent_.empty() && server_.at_rest());
        vacate(fit);
    }

    std::unique_ptr<core::server_link> link_;
    answering_server server_;
    std::string sent_;   // to the server, and not answered yet
    bool wild_ = false;  // it has said something of its own
    int holder_ = -1;
    std::deque<std::size_t> waiting_;
    std::array<guest, clients> each_;
};

// Whole requests, so that not every word has to be found.
constexpr std::array texts{
    "SELECT v FROM kv"sv,
    "SELECT v FROM notes"sv,
    "UPDATE kv SET v = 1"sv,
    "BEGIN"sv,
    "COMMIT"sv,
    "ROLLBACK"sv,
    "SET app.tenant_id = 'c'"sv,
    "RESET app.tenant_id"sv,
    "SET application_name = 'x'"sv,
    "SET search_path = bob"sv,
    "SET ROLE bob"sv,
    "RESET ALL"sv,
    "DISCARD ALL"sv,
    "LISTEN c"sv,
    "UNLISTEN *"sv,
    "PREPARE p AS SELECT v FROM kv"sv,
    "EXECUTE p"sv,
    "DEALLOCATE ALL"sv,
    "CREATE TEMP TABLE t ()"sv,
    "DISCARD TEMP"sv,
    "DO $$ BEGIN END $$"sv,
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1"sv,
    "CLOSE ALL"sv,
    "SELECT pg_advisory_lock(1)"sv,
    "SELECT set_config('app.tenant_id', 'd', false)"sv,
    "SAVEPOINT s"sv,
    "ROLLBACK TO s"sv,
    "COMMIT; SELECT v FROM kv"sv,
    "DROP DATABASE x"sv,
    "ALTER ROLE app SET datestyle = 'German'"sv,
};

std::string said(std::size_t number) {
    const auto sql = texts[number % texts.size()];
    switch (number / texts.size() % 5) {
        case 0:
            return query(sql);
        case 1:
            return parse("", sql) + bind("") + describe_portal() + execute() + sync_now();
        case 2:
            return parse("s", sql) + describe_statement("s") + sync_now();
        case 3:
            return bind("s") + execute() + sync_now();
        default:
            return parse("u", sql) + bind("u") + execute() + close_statement("u");
    }
}

void act(room& r, world& w, std::uint8_t order, std::size_t number, std::string_view bytes) {
    const std::size_t i = order / 12U % clients;
    auto& l = r.at(i);
    switch (order % 12) {
        case 0:
            return r.client(i, bytes);
        case 1:
        case 2:
        case 3:
            return r.client(i, said(number));
        case 4:
            return r.server(bytes);
        case 5:
        case 6:
            return r.answer(false);
        case 7:
            return r.answer(true);
        case 8:
            if (!l.closing) (void)l.cancel();
            return r.settle();
        case 9:
            return r.cancel_sent(i);
        case 10:
            w.now += std::chrono::milliseconds{number};
            if (!l.closing) l.later(std::chrono::milliseconds{0});
            return r.settle();
        default:
            if (number % 8 == 0) return r.leave(i, number % 16 == 0);
            if (number % 8 == 1) return r.cut_off();
            if (number % 8 == 2 && !l.closing) l.database_released();
            if (number % 8 == 3) w.publish();
            return r.settle();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::uint8_t chosen = size > 0 ? data[0] : std::uint8_t{0};
    world w;
    w.options.scram = &toy_crypto;
    w.options.authenticates = w.options.pooled = true;
    w.options.followed_startup = {"application_name", "app.tenant_id"};
    w.options.cache = (chosen & 1) == 0;
    w.options.query_wait_timeout = std::chrono::milliseconds{(chosen & 2) != 0 ? 0 : 1000};
    w.options.max_prepared_statements = (chosen & 4) != 0 ? 2 : 200;
    if ((chosen & 8) != 0) w.options.server_check_query = ";";
    std::vector<core::unsettled_commit> unsettled;
    {
        room r{w};
        for (std::size_t i = 0; i < clients; ++i) r.log_in(i, (chosen & 16) != 0);
        for (std::size_t at = 1; at + 2 < size;) {
            const auto order = data[at];
            const auto number = std::size_t{data[at + 1]} << 8U | data[at + 2];
            at += 3;
            const bool speaks = order % 12 == 0 || order % 12 == 4;
            const auto length = speaks ? std::min(number, size - at) : 0;
            const auto bytes = pgsidecar::protocol::fuzz::view(data + at, length);
            at += length;
            act(r, w, order, number, bytes);
        }
        for (std::size_t i = 0; i < clients; ++i) {
            r.end(i);
            auto& left = r.at(i).unsettled;
            unsettled.insert(unsettled.end(), left.begin(), left.end());
        }
    }
    const auto left = w.unrest(unsettled);
    if (!left.empty()) std::fputs(left.c_str(), stderr);
    require(left.empty());
    return 0;
}
