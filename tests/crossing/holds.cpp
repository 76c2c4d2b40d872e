// What a session can only have at one server connection: temporary tables, advisory locks, cursors
// WITH HOLD, channels, numbers taken from sequences.
#include <utility>

#include "client.h"

namespace pgsidecar::crossing {

void client::now_holds(hold what) {
    if (holds_ == 0) hold_left_ = 3 + dice_.below(12);
    holds_ = static_cast<std::uint8_t>(holds_ | what);
}

void client::nothing_held() {
    if (lock_of_ != no_party) world_.lock_holder(lock_of_) = -1;
    lock_of_ = held_of_ = no_party;
    drawn_.reset();
    holds_ = 0;
}

void client::hold_something() {
    switch (dice_.below(6)) {
        case 0:
            return temporary_table();
        case 1:
            return lock();
        case 2:
            return hold_cursor();
        case 3:
            return listen();
        case 4:
            return sequence();
        default:
            return sql_prepared();
    }
}

void client::use_what_is_held() {
    switch (dice_.below(7)) {
        case 0:
            if (holding(has_cursor)) return fetch_held();
            break;
        case 1:
            if (holding(listens)) return notify();
            break;
        case 2:
            if (holding(has_sequence)) return sequence();
            break;
        case 3:
            if (holding(has_sql_prepared)) return sql_prepared();
            break;
        case 4:
            if (holding(has_temporary))
                return ask(kind::temporary_read, "SELECT tenant, id, counter FROM item ORDER BY id",
                           {}, rows_of(table::item, 0, rows_each - 1));
            break;
        case 5:
            return look_at_what_is_held();
        default:
            break;
    }
    plain_operation();
}

// Of others' things at this server connection it must see nothing.
void client::look_at_what_is_held() {
    const std::string locks = holding(has_lock) ? "1" : "0";
    ask(kind::lock,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", {},
        says(locks));
}

void client::let_go() {
    const bool rest = dice_.chance(50) || holding(has_sequence);
    if (rest) {
        const int n = dice_.below(100);
        if (n < 70) return discard_all();
        return n < 85 ? leave() : vanish();
    }
    if (holding(has_temporary)) {
        if (!model_.is_default(setting::role)) {
            model_.reset(setting::role);
            ask(kind::reset_role, "RESET ROLE", {}, tagged("RESET"));
        }
        if (!model_.temporary().empty()) {
            model_.set_temporary("");
            ask(kind::temporary_table, "DROP TABLE pg_temp.item", {}, tagged("DROP TABLE"));
        }
    }
    if (holding(has_lock)) unlock();
    if (holding(has_cursor)) {
        held_of_ = no_party;
        ask(kind::hold_cursor, "CLOSE ALL", {}, tagged("CLOSE CURSOR ALL"));
    }
    if (holding(listens))
        ask(kind::unlisten, "UNLISTEN *", {}, [this](const result& r) -> std::string {
            channel_ = no_party;
            return r.tag == "UNLISTEN" ? "" : "tag " + r.tag;
        });
    if (holding(has_sql_prepared)) drop_sql_prepared();
    holds_ = 0;
    // What else the connection has is lost with it.
    if (dice_.chance(20)) discard_all();
}

// It stands before the item of any schema.
void client::temporary_table() {
    if (holding(has_temporary) || !may_unsettle()) return plain_operation();
    const auto name = party_name(model_.by_path());
    const auto mark = std::to_string(-(number_ * 1000 + ++marks_ % 1000));
    now_holds(has_temporary);
    const bool block = dice_.chance(30);
    if (block) begin_block();
    ask(kind::temporary_table, "CREATE TEMP TABLE item (tenant text, id int, counter bigint)", {},
        tagged("CREATE TABLE"));
    ask(kind::temporary_table, "GRANT ALL ON pg_temp.item TO PUBLIC", {}, tagged("GRANT"));
    model_.set_temporary(name + ' ' + mark);
    ask(kind::temporary_table,
        "INSERT INTO item SELECT '" + name + "', i, " + mark + " FROM generate_series(0, 3) i", {},
        tagged("INSERT 0 4"));
    ask(kind::temporary_read, "SELECT tenant, id, counter FROM item ORDER BY id", {},
        rows_of(table::item, 0, rows_each - 1));
    if (block) end_block();
}

// Only one session at a time has the lock of a tenant.
void client::lock() {
    if (holding(has_lock)) return look_at_what_is_held();
    lock_of_ = party_of(some_tenant());
    now_holds(has_lock);
    ask(kind::lock, "SELECT pg_advisory_lock($1)", {std::to_string(lock_of_)},
        [this, p = lock_of_](const result& r) -> std::string {
            const int had = world_.lock_holder(p).exchange(number_);
            if (had >= 0) return "the lock is held by client " + std::to_string(had);
            return r.rows.size() == 1 ? "" : "no row";
        });
    look_at_what_is_held();
}

void client::unlock() {
    world_.lock_holder(lock_of_) = -1;
    lets_go_of(has_lock);
    ask(kind::unlock, "SELECT pg_advisory_unlock($1)",
        {std::to_string(std::exchange(lock_of_, no_party))}, says("t"));
    ask(kind::unlock, "SELECT pg_advisory_unlock_all()", {}, {});
    look_at_what_is_held();
}

void client::hold_cursor() {
    if (holding(has_cursor) || !model_.temporary().empty()) return plain_operation();
    held_of_ = model_.by_path();
    held_next_ = 0;
    now_holds(has_cursor);
    ask(kind::hold_cursor,
        "DECLARE held CURSOR WITH HOLD FOR SELECT tenant, id, counter FROM item ORDER BY id", {},
        tagged("DECLARE CURSOR"));
}

// The rows of then, whatever was set since.
void client::fetch_held() {
    auto want = party_name(held_of_) + std::to_string(held_next_);
    if (held_next_++ >= rows_each) want.clear();
    ask(kind::hold_cursor, "FETCH 1 FROM held", {},
        [want = std::move(want)](const result& r) -> std::string {
            std::string got;
            for (const auto& one : r.rows)
                got += one.at(0).value_or("") +
                       std::to_string(number_of(one.at(1).value_or(""), false));
            return got == want ? "" : "\"" + got + "\" instead of \"" + want + '"';
        });
}

void client::listen() {
    if (holding(listens)) return notify();
    channel_ = party_of(some_tenant());
    now_holds(listens);
    ask(kind::listen, "LISTEN ward_" + party_name(channel_), {}, tagged("LISTEN"));
}

void client::notify() {
    if (!holding(listens)) {
        const auto tenant = some_tenant();
        return ask(kind::notify, "NOTIFY ward_" + tenant + ", '" + tenant + " from afar'", {},
                   tagged("NOTIFY"));
    }
    const auto tenant = party_name(channel_);
    const auto count = std::to_string(++notified_);
    ask(kind::notify,
        "NOTIFY ward_" + tenant + ", '" + tenant + ' ' + std::to_string(number_) + '.' + count +
            "'",
        {}, tagged("NOTIFY"));
    ask(kind::notify, "SELECT tenant FROM item WHERE id = 0", {},
        [this, want = notified_](const result&) -> std::string {
            return heard_ >= want ? "" : "its own notification has not come";
        });
}

// Each schema has one; its numbers say whose it is. Who has once asked for the last one is told it
// until it lets go.
void client::sequence() {
    const auto is_last = [](const result& r, const std::string& last) -> std::string {
        const auto got = r.rows.empty() ? "" : r.rows[0].at(0).value_or("");
        return got == last ? "" : got + " instead of " + last;
    };
    if (drawn_ && dice_.chance(60))
        return ask(kind::sequence, "SELECT lastval()", {},
                   [is_last, last = drawn_](const result& r) { return is_last(r, *last); });
    const auto p = model_.by_path();
    const auto number = std::make_shared<std::string>();
    const auto drawn = [p, number](const result& r) -> std::string {
        *number = r.rows.empty() ? "" : r.rows[0].at(0).value_or("");
        return number_of(*number, false) / 1'000'000'000 == p + 1
                   ? ""
                   : *number + " is no number of \"" + party_name(p) + '"';
    };
    if (!took_number_ && dice_.chance(35)) {
        now_holds(has_sequence);
        return ask_failing(kind::sequence,
                           dice_.chance(50) ? "SELECT lastval()" : "SELECT currval('ticket')",
                           "55000");
    }
    took_number_ = true;
    if (holding(has_sequence)) drawn_ = number;
    if (dice_.chance(30)) return ask(kind::sequence, "SELECT nextval('ticket')", {}, drawn);
    now_holds(has_sequence);
    drawn_ = number;
    begin_block();
    ask(kind::sequence, "SELECT nextval('ticket')", {}, drawn);
    ask(kind::sequence, dice_.chance(50) ? "SELECT currval('ticket')" : "SELECT lastval()", {},
        [is_last, number](const result& r) { return is_last(r, *number); });
    end_block();
}

}  // namespace pgsidecar::crossing
