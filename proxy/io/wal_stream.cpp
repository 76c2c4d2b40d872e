#include "proxy/io/wal_stream.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>
#include <utility>

#include "cache/key.h"
#include "proxy/io/log.h"
#include "proxy/ops/migration.h"

namespace pgsidecar::io {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr auto retry_interval = milliseconds{500};
constexpr auto look_interval = milliseconds{20};  // for transactions of before
constexpr auto tell_interval = std::chrono::seconds{5};
// Commits that follow each other closely are taken together: a round costs as much as dozens of
// them.
constexpr auto crowd_interval = milliseconds{10};
constexpr auto gather_interval = milliseconds{5};
constexpr auto ping_interval = milliseconds{20};  // while a position is awaited
constexpr auto most_settle_pause = milliseconds{20};
constexpr auto leave_interval = milliseconds{5};
constexpr auto longest_leave = std::chrono::seconds{5};

// How far the WAL has come, the next transaction's number, what publication is followed, and which
// of these transactions every new snapshot shows as over. By functions that 12 knows as well as 18.
constexpr auto question =
    "SELECT pg_catalog.pg_current_wal_insert_lsn(), "
    "pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()), "
    "(SELECT p.oid::pg_catalog.text || ' ' || p.xmin::pg_catalog.text "
    "FROM pg_catalog.pg_publication p WHERE p.pubname = $2), "
    "(SELECT pg_catalog.string_agg(x::pg_catalog.text, ' ') "
    "FROM pg_catalog.unnest($1::pg_catalog.int8[]) AS x "
    "WHERE pg_catalog.txid_visible_in_snapshot(x, pg_catalog.txid_current_snapshot()))";

std::string text_of(const PGresult* r, int column) {
    return PQntuples(r) == 1 && PQnfields(r) > column ? PQgetvalue(r, 0, column) : "";
}

template <class Integer>
Integer number_of(std::string_view text, int base = 10) {
    Integer out = 0;
    std::from_chars(text.data(), text.data() + text.size(), out, base);
    return out;
}

// "16/B374D848"
protocol::lsn lsn_of(std::string_view text) {
    const auto slash = std::min(text.find('/'), text.size());
    if (slash == text.size()) return 0;
    return number_of<protocol::lsn>(text.substr(0, slash), 16) << 32U |
           number_of<protocol::lsn>(text.substr(slash + 1), 16);
}

// The next byte to be written may lie behind a page's header, which nothing is sent for: then all
// is there when the page before has come.
protocol::lsn without_header(protocol::lsn at) {
    constexpr protocol::lsn page = 8192, longest_header = 40;
    return at % page <= longest_header ? at - at % page : at;
}

std::int64_t now_us() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<microseconds>(now).count() - protocol::replication_epoch_us;
}

}  // namespace

wal_stream::wal_stream(core::database& where, std::shared_ptr<const config::settings> settings)
    : outside_stream{where, std::move(settings)}, follower_{where} {
    begin();
}

wal_stream::~wal_stream() { end(); }

bool wal_stream::open() {
    witness_ = connect("pgsidecar witness", false);
    if (witness_) stream_ = connect("pgsidecar stream", true);
    if (!witness_ || !stream_ || !identify() || !find_slot()) return false;
    if (!goes_on_ && (!create_slot() || !await_older())) return false;
    if (!start()) return false;
    if (!goes_on_) follower_.abandon();
    followed_ = history_;
    ask_next_ = ping_next_ = clock::now();
    settle_pause_ = {};
    caught_up_ = false;
    opened("in the WAL, by publication " + settings_->cache.publication, goes_on_);
    where_.wal_began(cache::hash_key(history_).lo | 1U, began_);
    // What changed meanwhile without an event trigger is described as if for the first time.
    if (goes_on_) where_.want_reload();
    return true;
}

void wal_stream::close() {
    const bool persistent = !settings_->cache.persistent_slot.empty();
    if (persistent)
        follower_.interrupt();
    else
        follower_.abandon();
    where_.wal_ended();
    // What has ended one before it had caught up may end the next.
    if (!caught_up_) position_ = 0;
    disconnect(stream_);
    if (ending() && left_slot() && persistent) (void)drop_slot();
    disconnect(witness_);
    asking_ = false;
    target_ = 0;
}

// The server lets go of the slot when it sees that the connection is gone, and refuses to drop the
// database until then. False: not within the time, or it does not answer.
bool wal_stream::left_slot() {
    const auto until = clock::now() + longest_leave;
    const std::array<const char*, 1> values{slot_.c_str()};
    constexpr auto in_use =
        "SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active";
    if (!witness_ || slot_.empty()) return false;
    if (asking_ && !last_answer(witness_.get(), until)) return false;
    while (PQsendQueryParams(witness_.get(), in_use, 1, nullptr, values.data(), nullptr, nullptr,
                             0) == 1) {
        const auto r = last_answer(witness_.get(), until);
        if (!r || PQresultStatus(r.get()) != PGRES_TUPLES_OK) return false;
        if (PQntuples(r.get()) == 0) return true;
        if (clock::now() >= until) return false;
        (void)wait(clock::now() + leave_interval);
    }
    return false;
}

result_ptr wal_stream::ask_witness(const char* sql, const std::string& value) {
    const std::array<const char*, 1> values{value.c_str()};
    return result_ptr{
        PQexecParams(witness_.get(), sql, 1, nullptr, values.data(), nullptr, nullptr, 0)};
}

bool wal_stream::drop_slot() {
    const auto r = ask_witness("SELECT pg_catalog.pg_drop_replication_slot($1)", slot_);
    return PQresultStatus(r.get()) == PGRES_TUPLES_OK;
}

bool wal_stream::identify() {
    const result_ptr r{PQexec(stream_.get(), "IDENTIFY_SYSTEM")};
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) return failed(stream_.get());
    history_ = text_of(r.get(), 0) + "/" + text_of(r.get(), 1);
    return true;
}

// Whether a persistent slot is there in which the stream goes on where it ended: the same server in
// the same history, and the slot no further than what has been seen. One that is there otherwise is
// of a process that was killed; it goes.
bool wal_stream::find_slot() {
    goes_on_ = false;
    const auto& name = settings_->cache.persistent_slot;
    slot_ = random_name();
    if (name.empty()) {
        position_ = 0;
        return true;
    }
    const auto found = ask_witness(
        "SELECT $1 || '_' || d.oid, s.active_pid, s.slot_name, s.confirmed_flush_lsn, "
        "s.restart_lsn IS NOT NULL AND s.plugin = 'pgoutput' AND s.database = d.datname, "
        "pg_catalog.current_setting('max_slot_wal_keep_size', true) FROM pg_catalog.pg_database d "
        "LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1 || '_' || d.oid "
        "WHERE d.datname = pg_catalog.current_database()",
        name);
    if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failed(witness_.get());
    slot_ = text_of(found.get(), 0);
    if (const auto pid = text_of(found.get(), 1); !pid.empty())
        return failed("replication slot " + slot_ + " is in use, by the server's process " + pid);
    const bool same = history_ == followed_ && position_ != 0;
    goes_on_ =
        same && text_of(found.get(), 4) == "t" && lsn_of(text_of(found.get(), 3)) <= position_;
    if (!goes_on_) position_ = 0;
    if (!goes_on_ && !text_of(found.get(), 2).empty() && !drop_slot())
        return failed(witness_.get());
    if (text_of(found.get(), 5) == "-1" && !std::exchange(warned_, true))
        log_warning("database " + where_.name() + ": replication slot " + slot_ +
                    " is persistent and max_slot_wal_keep_size is -1: while nobody follows it, "
                    "the server keeps all WAL, until its disk is full");
    return true;
}

// The server waits for transactions that are writing now: perhaps for long.
bool wal_stream::create_slot() {
    const auto command = "CREATE_REPLICATION_SLOT " + slot_ +
                         (settings_->cache.persistent_slot.empty() ? " TEMPORARY" : "") +
                         " LOGICAL pgoutput NOEXPORT_SNAPSHOT";
    if (PQsendQuery(stream_.get(), command.c_str()) != 1) return failed(stream_.get());
    auto tell = clock::now() + tell_interval;
    while (PQisBusy(stream_.get()) != 0) {
        if (clock::now() >= tell) {
            (void)failed("a replication slot waits for transactions that are under way");
            tell = clock::time_point::max();
        }
        if (!wait(clock::now() + tell_interval)) return false;
        if (PQconsumeInput(stream_.get()) != 1) return failed(stream_.get());
    }
    const result_ptr made{PQgetResult(stream_.get())};
    while (const result_ptr more{PQgetResult(stream_.get())}) {
    }
    if (PQresultStatus(made.get()) != PGRES_TUPLES_OK)
        return failed("no replication slot: " + first_line(PQerrorMessage(stream_.get())));
    began_ = lsn_of(text_of(made.get(), 1));  // its consistent point
    return true;
}

// A transaction may have committed in the WAL before the slot began, and be invisible still: it
// waits for its standby. Nothing will tell of it, so it has to be over first.
bool wal_stream::await_older() {
    // While a standby takes a server's place the two connections may have come to different ones.
    const auto seen =
        ask_witness("SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", slot_);
    if (PQresultStatus(seen.get()) != PGRES_TUPLES_OK) return failed(witness_.get());
    if (PQntuples(seen.get()) != 1) return failed("its connections led to different servers");
    const result_ptr last{PQexec(witness_.get(), "SELECT pg_catalog.txid_current()")};
    if (PQresultStatus(last.get()) != PGRES_TUPLES_OK) return failed(witness_.get());
    const auto newest = number_of<std::uint64_t>(text_of(last.get(), 0));
    auto tell = clock::now() + tell_interval;
    while (true) {
        const result_ptr oldest{
            PQexec(witness_.get(),
                   "SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())")};
        if (PQresultStatus(oldest.get()) != PGRES_TUPLES_OK) return failed(witness_.get());
        if (number_of<std::uint64_t>(text_of(oldest.get(), 0)) >= newest) break;
        if (clock::now() >= tell) {
            (void)failed("it waits for transactions that were under way when it began");
            tell = clock::time_point::max();
        }
        if (!wait(clock::now() + look_interval)) return false;
    }
    transactions_ = newest;
    return true;
}

bool wal_stream::start() {
    const auto& name = settings_->cache.publication;
    const auto list = ops::quoted_identifier(name);
    std::string quoted;
    for (const char c : list) quoted.append(c == '\'' ? 2 : 1, c);
    auto command = "START_REPLICATION SLOT " + slot_ +
                   " LOGICAL 0/0 (proto_version '1', publication_names '" + quoted + "'";
    constexpr int messages_since = 140000;
    if (PQserverVersion(stream_.get()) >= messages_since) command += ", messages 'true'";
    const result_ptr r{PQexec(stream_.get(), (command + ")").c_str())};
    if (PQresultStatus(r.get()) != PGRES_COPY_BOTH) {
        caught_up_ = false;
        return failed(stream_.get());
    }
    if (!goes_on_) publication_row_.clear();
    return PQsetnonblocking(stream_.get(), 1) == 0;
}

void wal_stream::follow() {
    while (true) {
        const auto now = clock::now();
        if (!receive() || !hear_witness(now) || !ask(now)) return;
        if (target_ != 0 && now >= ping_next_) {
            if (!send_status(true)) return;
            ping_next_ = now + ping_interval;
        }
        if (std::exchange(crowded_, false) && !rest(now + gather_interval)) return;
        if (!wait(next_step())) return;
    }
}

wal_stream::clock::time_point wal_stream::next_step() const {
    auto next = asking_ ? clock::now() + retry_interval : ask_next_;
    if (target_ != 0) next = std::min(next, ping_next_);
    return next;
}

bool wal_stream::receive() {
    if (PQconsumeInput(stream_.get()) != 1) return failed(stream_.get());
    while (true) {
        char* data = nullptr;
        const int size = PQgetCopyData(stream_.get(), &data, 1);
        const std::unique_ptr<char, decltype(&PQfreemem)> owned{data, PQfreemem};
        if (size == 0) return true;
        if (size < 0) {
            const result_ptr end{PQgetResult(stream_.get())};
            return failed("the stream has ended: " + first_line(PQerrorMessage(stream_.get())));
        }
        if (!take({data, static_cast<std::size_t>(size)}, clock::now()))
            return failed("the stream is not understood");
    }
}

bool wal_stream::take(protocol::bytes message, clock::time_point now) {
    protocol::replication_message m;
    if (protocol::parse(message, m)) return false;
    if (const auto* alive = std::get_if<protocol::primary_keepalive>(&m)) {
        reached(alive->end);
        return !alive->reply_requested || send_status(false);
    }
    core::wal_follower::progress done;
    if (follower_.on_message(std::get<protocol::xlog_data>(m).payload, done)) return false;
    if (!done.committed) return true;
    reached(done.end);
    crowded_ = now - std::exchange(committed_at_, now) < crowd_interval;
    if (done.touched) {
        settle_pause_ = {};
        ask_next_ = now;
        note_staleness(microseconds{std::max<std::int64_t>(now_us() - done.committed_us, 0)});
    }
    return true;
}

void wal_stream::reached(protocol::lsn position) {
    position_ = std::max(position_, position);
    where_.wal_reached(position_);
    if (target_ == 0 || position_ < target_) return;
    seen(target_time_);
    where_.wal_proven(target_, target_time_);
    target_ = 0;
    caught_up_ = true;
}

bool wal_stream::ask(clock::time_point now) {
    if (asking_ || now < ask_next_) return true;
    std::string list = "{";
    for (const auto xid : follower_.unsettled()) {
        if (list.size() > 1) list += ',';
        list += std::to_string(full(xid));
    }
    list += '}';
    const std::array<const char*, 2> values{list.c_str(), settings_->cache.publication.c_str()};
    if (PQsendQueryParams(witness_.get(), question, 2, nullptr, values.data(), nullptr, nullptr,
                          0) != 1)
        return failed(witness_.get());
    asking_ = true;
    asked_at_ = now;
    return true;
}

bool wal_stream::hear_witness(clock::time_point now) {
    if (PQconsumeInput(witness_.get()) != 1)
        return failed("the second connection is lost: " +
                      first_line(PQerrorMessage(witness_.get())));
    if (!asking_ || PQisBusy(witness_.get()) != 0) return true;
    const result_ptr r{PQgetResult(witness_.get())};
    while (const result_ptr more{PQgetResult(witness_.get())}) {
    }
    asking_ = false;
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) return failed(witness_.get());
    const auto row = text_of(r.get(), 2);
    if (publication_row_.empty()) publication_row_ = row;
    caught_up_ = caught_up_ && row == publication_row_;
    if (row.empty() && !complained()) where_.want_reload();  // another way may be chosen
    if (row.empty()) return failed("publication " + settings_->cache.publication + " is gone");
    if (row != publication_row_)
        return failed("publication " + settings_->cache.publication + " is another one now");
    answer(r.get(), now);
    return true;
}

void wal_stream::answer(const PGresult* r, clock::time_point now) {
    transactions_ = number_of<std::uint64_t>(text_of(r, 1));
    const auto over = text_of(r, 3);
    std::istringstream visible{over};
    for (std::uint64_t xid = 0; visible >> xid;) follower_.settle(static_cast<std::uint32_t>(xid));
    if (target_ == 0) {
        target_ = std::max<protocol::lsn>(without_header(lsn_of(text_of(r, 0))), 1);
        target_time_ = asked_at_;
        ping_next_ = now;
        reached(position_);
        if (target_ == 0) (void)send_status(false);
    }
    if (follower_.settled()) {
        ask_next_ = now + settings_->cache.max_invalidation_lag / 4;
        return;
    }
    ask_next_ = now + settle_pause_;
    settle_pause_ =
        std::min<microseconds>(settle_pause_ * 2 + microseconds{200}, most_settle_pause);
}

bool wal_stream::send_status(bool reply_requested) {
    std::string out;
    protocol::write(
        out, protocol::standby_status{
                 .position = position_, .sent_us = now_us(), .reply_requested = reply_requested});
    if (PQputCopyData(stream_.get(), out.data(), static_cast<int>(out.size())) < 0 ||
        PQflush(stream_.get()) < 0)
        return failed(stream_.get());
    return true;
}

// The stream tells the lower half of a transaction's number; it is within two billion of the next.
std::uint64_t wal_stream::full(std::uint32_t xid) const noexcept {
    constexpr std::uint64_t turn = std::uint64_t{1} << 32U;
    auto out = (transactions_ & ~(turn - 1)) | xid;
    if (out > transactions_ + turn / 2 && out >= turn) out -= turn;
    if (out + turn / 2 < transactions_) out += turn;
    return out;
}

}  // namespace pgsidecar::io
