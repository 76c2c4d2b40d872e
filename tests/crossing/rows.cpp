// Rows: whose they must be, and how old they may be.
#include <array>
#include <utility>

#include "client.h"

namespace pgsidecar::crossing {
namespace {

constexpr std::array<table, table_count> all_tables{table::visit, table::item, table::chart};
constexpr std::array<kind, table_count> reads{kind::read_by_setting, kind::read_by_path,
                                              kind::read_by_role};
constexpr std::array<kind, table_count> writes{kind::write_by_setting, kind::write_by_path,
                                               kind::write_by_role};

std::string shown(const result& r) {
    std::string out = r.tag + ":";
    for (const auto& one : r.rows) {
        out += " (";
        for (const auto& field : one) out += (r.binary ? "#" : "") + field.value_or("NULL") + ",";
        out += ")";
    }
    return out;
}

// Of one row, when the answer was asked for.
struct bounds {
    std::int64_t least = 0;
    cell* known = nullptr;
    counter own;
};

}  // namespace

// tenant, id, counter of these rows, in this order.
client::check client::rows_of(table t, int first, int last) {
    if (t == table::item && !model_.temporary().empty()) return temporary_rows(first, last);
    const auto p = model_.of(t);
    std::vector<bounds> rows;
    for (int id = first; p != no_party && id <= last; ++id) {
        auto& known = world_.at(t, p, id);
        rows.push_back({known.acknowledged.load(), &known, model_.own(world::index(t, p, id))});
    }
    return [rows = std::move(rows), name = party_name(p), first](const result& r) -> std::string {
        if (r.rows.size() != rows.size())
            return shown(r) + " instead of " + std::to_string(rows.size()) + " rows of \"" + name +
                   '"';
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto& got = r.rows[i];
            if (got.size() != 3 || got[0] != name ||
                number_of(got[1].value_or(""), r.binary) != first + static_cast<int>(i))
                return shown(r) + " instead of rows of \"" + name + '"';
            const auto count = number_of(got[2].value_or(""), r.binary);
            const auto& b = rows[i];
            if (b.own ? count != *b.own : count < b.least || count > b.known->sent.load())
                return shown(r) + ": counter " + std::to_string(count) + " is not " +
                       (b.own ? "this session's own " + std::to_string(*b.own)
                              : "between " + std::to_string(b.least) + " and " +
                                    std::to_string(b.known->sent.load()));
        }
        return {};
    };
}

client::check client::temporary_rows(int first, int last) const {
    std::string want;
    for (int id = first; id <= last; ++id)
        want += "(" + model_.temporary() + " " + std::to_string(id) + ")";
    return [want = std::move(want)](const result& r) -> std::string {
        std::string got;
        for (const auto& one : r.rows) {
            if (one.size() != 3) return shown(r);
            got += "(" + one[0].value_or("") + " " +
                   std::to_string(number_of(one[2].value_or(""), r.binary)) + " " +
                   std::to_string(number_of(one[1].value_or(""), r.binary)) + ")";
        }
        return got == want ? "" : got + " instead of " + want + " of the temporary table";
    };
}

// What everybody asks.
void client::read_usual_rows() {
    const auto t = dice_.pick(all_tables);
    ask(reads[static_cast<std::size_t>(t)],
        "SELECT tenant, id, counter FROM " + std::string{name_of(t)} + " ORDER BY id", {},
        rows_of(t, 0, rows_each - 1), true);
}

void client::read_rows() {
    if (dice_.chance(70)) return read_usual_rows();
    const auto t = dice_.pick(all_tables);
    const auto of = reads[static_cast<std::size_t>(t)];
    const std::string from = "SELECT tenant, id, counter FROM " + std::string{name_of(t)};
    const int id = dice_.below(rows_each);
    const int how = dice_.below(30);
    if (how < 15)
        return ask(of, from + " WHERE id = $1", {std::to_string(id)}, rows_of(t, id, id), true);
    if (how < 23)
        return ask(of, from + " WHERE id = " + std::to_string(id), {}, rows_of(t, id, id), true);
    ask(of, from + " WHERE id <= $1 ORDER BY id", {std::to_string(id)}, rows_of(t, 0, id), true);
}

// Who is seen by setting, by search_path and by role.
client::check client::joined_row() const {
    const auto a = model_.by_setting();
    auto item_of = party_name(model_.by_path());
    if (!model_.temporary().empty())
        item_of = model_.temporary().substr(0, model_.temporary().find(' '));
    const auto want = party_name(a) + '|' + item_of + '|' + party_name(model_.by_role());
    return [want, none = a == no_party](const result& r) -> std::string {
        if (none) return r.rows.empty() ? "" : shown(r) + " instead of no row";
        if (r.rows.size() != 1 || r.rows[0].size() != 3) return shown(r) + " instead of " + want;
        const auto got = r.rows[0][0].value_or("") + '|' + r.rows[0][1].value_or("") + '|' +
                         r.rows[0][2].value_or("");
        return got == want ? "" : got + " instead of " + want;
    };
}

void client::read_joined() {
    const int id = dice_.below(rows_each);
    ask(kind::read_joined,
        "SELECT v.tenant, i.tenant, c.tenant FROM visit v JOIN item i ON i.id = v.id "
        "JOIN chart c ON c.id = v.id WHERE v.id = $1",
        {std::to_string(id)}, joined_row(), true);
}

client::check client::rendered_row(int id) const {
    const auto p = model_.by_setting();
    std::string want;
    if (p != no_party)
        want = party_name(p) + '|' + std::to_string(id) + '|' +
               world_.moment(model_.get(setting::zone), model_.get(setting::style)) + '|' +
               world_.ratio(model_.get(setting::digits)) + '|' +
               world_.mark(model_.get(setting::output)) + '|';
    return [want = std::move(want)](const result& r) -> std::string {
        std::string got;
        for (const auto& one : r.rows)
            for (const auto& field : one) got += field.value_or("NULL") + '|';
        return got == want ? "" : got + " instead of " + want;
    };
}

void client::read_rendered(int id) {
    ask(kind::read_rendered, "SELECT tenant, id, moment, ratio, mark FROM visit WHERE id = $1",
        {std::to_string(id)}, rendered_row(id));
}

// Rows that many see are written less, or all would wait for their locks.
bool client::can_write(table t, int id) {
    const auto p = model_.of(t);
    if (t == table::item && !model_.temporary().empty()) return false;
    if (t != table::item && !may_write_much() && !dice_.chance(1)) return false;
    if (p == no_party) return true;  // of no row
    return (p < nobody || dice_.chance(10)) && model_.may_write(world::index(t, p, id));
}

// What UPDATE ... RETURNING says of the row, which is this session's from now on.
client::check client::written(table t, int id) {
    const auto p = model_.of(t);
    if (p == no_party) return tagged("UPDATE 0");
    const auto where = world::index(t, p, id);
    const auto before = model_.own(where);
    const auto least = world_.at(where).acknowledged.load();
    const auto now = std::make_shared<std::int64_t>(0);
    model_.wrote(where, now);
    return [name = party_name(p), id, before, least, now](const result& r) -> std::string {
        if (r.rows.size() != 1 || r.rows[0].size() != 3 || r.rows[0][0] != name ||
            number_of(r.rows[0][1].value_or(""), r.binary) != id)
            return shown(r) + " instead of row " + std::to_string(id) + " of \"" + name + '"';
        *now = number_of(r.rows[0][2].value_or(""), r.binary);
        if (before ? *now != *before + 1 : *now <= least)
            return shown(r) + ": written upon " + std::to_string(before ? *before : least);
        return {};
    };
}

void client::write_row() {
    const auto t = dice_.pick(all_tables);
    const int id = dice_.below(rows_each);
    if (!can_write(t, id)) return read_rows();
    auto compare = written(t, id);
    ask(writes[static_cast<std::size_t>(t)],
        "UPDATE " + std::string{name_of(t)} +
            " SET counter = counter + 1 WHERE id = $1 RETURNING tenant, id, counter",
        {std::to_string(id)}, std::move(compare), true);
}

// A row of its own, seen at once, and gone again.
void client::insert_and_remove() {
    const auto p = model_.by_setting();
    if (p == no_party) return read_rows();
    const auto me = std::to_string(static_cast<std::uint64_t>(number_) * 100'000 + connection_);
    const auto mark = std::to_string(++marks_);
    const auto want = [&](std::string tag) -> check {
        return [tag = std::move(tag),
                want = party_name(p) + '|' + mark](const result& r) -> std::string {
            const bool same = r.tag == tag && r.rows.size() == 1 && r.rows[0].size() == 2 &&
                              r.rows[0][0].value_or("") + '|' + r.rows[0][1].value_or("") == want;
            return same ? "" : shown(r) + " instead of " + want;
        };
    };
    const bool block = at_rest() && dice_.chance(50);
    if (block) begin_block();
    ask(kind::insert,
        "INSERT INTO note VALUES (current_setting('app.tenant_id'), $1, $2) RETURNING tenant, mark",
        {me, mark}, want("INSERT 0 1"));
    ask(kind::insert, "SELECT tenant, mark FROM note WHERE client = $1", {me}, want("SELECT 1"));
    ask(kind::remove, "DELETE FROM note WHERE client = $1 RETURNING tenant, mark", {me},
        want("DELETE 1"));
    if (block) end_block();
}

void client::refused_row() {
    const auto other = model_.by_setting() == 0 ? party_name(1) : party_name(0);
    ask_failing(kind::refused_row, "INSERT INTO note VALUES ('" + other + "', -1, 0)", "42501");
}

void client::error() {
    // What cannot be read may be anything.
    const int n = dice_.below(flow_ == flow::script || !may_unsettle() ? 2 : 3);
    if (n == 0) return ask_failing(kind::error, "SELECT tenant, 1 / (id - id) FROM item", "22012");
    if (n == 1) return ask_failing(kind::error, "SELECT tenant FROM missing", "42P01");
    ask_failing(kind::error, "SELEC tenant FROM item", "42601");
}

}  // namespace pgsidecar::crossing
