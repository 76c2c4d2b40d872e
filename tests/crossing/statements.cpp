// Prepared statements, by the protocol and by SQL, and portals: many sessions prepare the same
// texts under the same and under other names.
#include <array>
#include <utility>

#include "client.h"

namespace pgsidecar::crossing {
namespace {

enum class asks : std::uint8_t { all_rows, one_row, joined, rendered, write, settings, set_tenant };
struct statement_kind {
    asks what;
    table of;
    std::string_view sql;
};
constexpr std::array<statement_kind, 13> texts{{
    {asks::all_rows, table::visit, "SELECT tenant, id, counter FROM visit ORDER BY id"},
    {asks::one_row, table::visit, "SELECT tenant, id, counter FROM visit WHERE id = $1"},
    {asks::all_rows, table::item, "SELECT tenant, id, counter FROM item ORDER BY id"},
    {asks::one_row, table::item, "SELECT tenant, id, counter FROM item WHERE id = $1"},
    {asks::all_rows, table::chart, "SELECT tenant, id, counter FROM chart ORDER BY id"},
    {asks::one_row, table::chart, "SELECT tenant, id, counter FROM chart WHERE id = $1"},
    {asks::joined, table::visit,
     "SELECT v.tenant, i.tenant, c.tenant FROM visit v, item i, chart c "
     "WHERE v.id = $1 AND i.id = $1 AND c.id = $1"},
    {asks::rendered, table::visit,
     "SELECT tenant, id, moment, ratio, mark FROM visit WHERE id = $1"},
    {asks::write, table::visit,
     "UPDATE visit SET counter = counter + 1 WHERE id = $1 RETURNING tenant, id, counter"},
    {asks::write, table::item,
     "UPDATE item SET counter = counter + 1 WHERE id = $1 RETURNING tenant, id, counter"},
    {asks::write, table::chart,
     "UPDATE chart SET counter = counter + 1 WHERE id = $1 RETURNING tenant, id, counter"},
    {asks::settings, table::visit,
     "SELECT current_user::text, current_setting('app.tenant_id', true), "
     "current_setting('search_path'), current_setting('role'), current_setting('TimeZone'), "
     "current_setting('DateStyle'), current_setting('extra_float_digits'), "
     "current_setting('bytea_output'), current_setting('application_name')"},
    {asks::set_tenant, table::visit, "SELECT set_config('app.tenant_id', $1, false)"},
}};

const statement_kind& text_of(int text) { return texts[static_cast<std::size_t>(text)]; }

bool shows_id_of_item(const statement_kind& s) { return s.of == table::item; }

}  // namespace

void client::prepared_something() {
    const int n = dice_.below(100);
    if (model_.statements.empty() || n < 22) return parse_named();
    auto it = model_.statements.begin();
    std::advance(it, dice_.below(static_cast<int>(model_.statements.size())));
    const auto name = it->first;
    if (!is_usable(it->second)) return drop_named(name);
    if (n < 84) return execute_named(name, it->second.text);
    if (n < 88) return describe_named(name);
    if (n < 90) return missing_statement();
    if (n < 91) {
        wire_.parse(name, text_of(0).sql);
        note(kind::parse_again, name);
        fails(kind::parse_again, "42P05");
        if (flow_ == flow::single) end_request(kind::parse_again);
        return;
    }
    drop_named(name);
}

// The server refuses a statement whose columns have changed.
bool client::is_usable(const model::statement& s) const {
    return !shows_id_of_item(text_of(s.text)) || s.wide == model_.wide_item();
}

void client::parse_named() {
    const auto name = (dice_.chance(70) ? "s" : "c" + std::to_string(number_) + "_") +
                      std::to_string(dice_.below(8));
    const int text = dice_.below(static_cast<int>(texts.size()));
    if (const auto it = model_.statements.find(name); it != model_.statements.end())
        return is_usable(it->second) ? execute_named(name, it->second.text) : drop_named(name);
    note(kind::parse_named, name + ": " + std::string{text_of(text).sql});
    wire_.parse(name, text_of(text).sql);
    expect(part::parsed, kind::parse_named);
    model_.statements[name] = {text, model_.wide_item()};
    if (dice_.chance(60)) return execute_named(name, text);
    if (flow_ == flow::single) end_request(kind::parse_named);
}

void client::execute_named(const std::string& name, int text) {
    const auto& s = text_of(text);
    const int id = dice_.below(rows_each);
    std::vector<value> values{std::to_string(id)};
    bool binary = dice_.chance(30);
    check compare;
    switch (s.what) {
        case asks::all_rows:
            values.clear();
            compare = rows_of(s.of, 0, rows_each - 1);
            break;
        case asks::one_row:
            compare = rows_of(s.of, id, id);
            break;
        case asks::joined:
            compare = joined_row();
            break;
        case asks::rendered:
            compare = rendered_row(id);
            binary = false;
            break;
        case asks::write:
            if (!can_write(s.of, id)) return describe_named(name);
            compare = written(s.of, id);
            break;
        case asks::settings:
            values.clear();
            compare = all_settings();
            break;
        case asks::set_tenant:
            values = {some_tenant()};
            model_.set(setting::tenant, *values[0], false);
            compare = says(*values[0]);
            break;
    }
    ask_extended(kind::execute_named, name, s.sql, values, std::move(compare), binary);
}

void client::describe_named(const std::string& name) {
    note(kind::describe_named, name);
    wire_.describe('S', name);
    expect(part::statement_columns, kind::describe_named);
    const auto& s = model_.statements.at(name);
    const auto what = text_of(s.text).what;
    if (what == asks::one_row || what == asks::write)
        expected_.back().parameter = shows_id_of_item(text_of(s.text)) && s.wide ? 20 : 23;
    if (flow_ == flow::single) end_request(kind::describe_named);
}

void client::drop_named(const std::string& name) {
    const std::string gone = name;
    model_.statements.erase(gone);
    if (dice_.chance(40))
        return ask(kind::deallocate, "DEALLOCATE " + gone, {}, tagged("DEALLOCATE"));
    note(kind::close, gone);
    wire_.close_object('S', gone);
    expect(part::closed, kind::close);
    if (flow_ == flow::single) end_request(kind::close);
}

void client::missing_statement() {
    note(kind::missing_statement, "s99");
    if (flow_ == flow::single && dice_.chance(40)) {
        wire_.query("DEALLOCATE s99");
        fails(kind::missing_statement, "26000");
        return close_round(kind::missing_statement);
    }
    wire_.bind("", "s99", {}, false);
    wire_.execute("", 0);
    fails(kind::missing_statement, "26000");
    if (flow_ == flow::single) end_request(kind::missing_statement);
}

// The unnamed statement lives until the next Parse or Query of its own session, whoever uses the
// server connection in between; where there is none, that of somebody else is not to be had.
void client::unnamed() {
    constexpr std::array<int, 3> one_row_each{1, 3, 5};
    unnamed_ = dice_.pick(one_row_each);
    const auto& s = text_of(unnamed_);
    note(kind::parse_named, "unnamed: " + std::string{s.sql});
    wire_.parse("", s.sql);
    expect(part::parsed, kind::parse_named);
    end_request(kind::parse_named);
    if (dice_.chance(50)) return;
    unnamed_ = none_there;
    wire_.query("SHOW role");
    note(kind::show, "role");
    expect_rows(part::answer, kind::show, says(model_.get(setting::role)), false);
    close_round(kind::show);
}

void client::execute_unnamed() {
    const int text = std::exchange(unnamed_, nothing_to_do);
    const int id = dice_.below(rows_each);
    if (text != none_there)
        return ask_extended(kind::execute_named, "", text_of(text).sql, {std::to_string(id)},
                            rows_of(text_of(text).of, id, id), dice_.chance(30));
    note(kind::missing_statement, "unnamed");
    wire_.bind("", "", {std::to_string(id)}, false);
    wire_.execute("", 0);
    fails(kind::missing_statement, "26000");
    end_request(kind::missing_statement);
}

void client::deallocate_all() {
    model_.statements.clear();
    model_.sql_statements.clear();
    lets_go_of(has_sql_prepared);
    ask(kind::deallocate_all, "DEALLOCATE ALL", {}, tagged("DEALLOCATE ALL"));
}

// It stays with its server connection; so the session keeps that until it has dropped it.
void client::sql_prepared() {
    if (!model_.sql_statements.empty() && dice_.chance(70)) {
        const auto& [name, s] = *model_.sql_statements.begin();
        if (!is_usable(s)) return read_rows();
        const int id = dice_.below(rows_each);
        return ask(kind::sql_execute, "EXECUTE " + name + "(" + std::to_string(id) + ")", {},
                   rows_of(text_of(s.text).of, id, id));
    }
    const auto name = "q" + std::to_string(dice_.below(3));
    if (model_.sql_statements.contains(name)) return read_rows();
    const int text = 1 + 2 * dice_.below(3);  // one row each
    model_.sql_statements[name] = {text, model_.wide_item()};
    now_holds(has_sql_prepared);
    ask(kind::sql_prepare, "PREPARE " + name + " (int) AS " + std::string{text_of(text).sql}, {},
        tagged("PREPARE"));
}

void client::drop_sql_prepared() {
    for (const auto& [name, s] : std::exchange(model_.sql_statements, {}))
        ask(kind::deallocate, "DEALLOCATE " + name, {}, tagged("DEALLOCATE"));
    lets_go_of(has_sql_prepared);
}

// Two rows, and then the others.
void client::portal_rows() {
    constexpr std::array<table, table_count> all_tables{table::visit, table::item, table::chart};
    const auto t = dice_.pick(all_tables);
    if (model_.of(t) == no_party) return read_rows();
    const std::string portal = dice_.chance(50) ? "p" : "";
    const auto sql = "SELECT tenant, id, counter FROM " + std::string{name_of(t)} + " ORDER BY id";
    note(kind::portal_rows, sql);
    wire_.parse("", sql);
    expect(part::parsed, kind::portal_rows);
    wire_.bind(portal, "", {}, false);
    expect(part::bound, kind::portal_rows);
    wire_.execute(portal, 2);
    expect_rows(part::rows, kind::portal_rows, rows_of(t, 0, 1), false);
    wire_.execute(portal, 0);
    expect_rows(part::rows, kind::portal_rows, rows_of(t, 2, rows_each - 1), false);
    if (portal == "p") {
        wire_.close_object('P', portal);
        expect(part::closed, kind::portal_rows);
    }
    end_request(kind::portal_rows);
}

// The answers are asked for before the round's end, which comes when they are there.
void client::flush() {
    flow_ = flow::pipeline;
    if (model_.status() == 'I') {
        model_.begin(true);
        implicit_ = true;
    }
    note(kind::flush, "");
    read_rows();
    wire_.flush();
    unsynced_ = true;
    run_.count(kind::flush);
}

void client::finish_flush() {
    unsynced_ = false;
    plain_operation();
    end_request(kind::flush);
    flow_ = flow::single;
}

void client::cursor() {
    constexpr std::array<table, table_count> all_tables{table::visit, table::item, table::chart};
    const auto t = dice_.pick(all_tables);
    if (model_.of(t) == no_party) return read_rows();
    ask(kind::cursor,
        "DECLARE c CURSOR FOR SELECT tenant, id, counter FROM " + std::string{name_of(t)} +
            " ORDER BY id",
        {}, tagged("DECLARE CURSOR"));
    // What it shows is as old as the DECLARE; so nothing is written in between.
    ask(kind::cursor, "FETCH 3 FROM c", {}, rows_of(t, 0, 2));
    ask(kind::cursor, "FETCH ALL FROM c", {}, rows_of(t, 3, rows_each - 1));
    ask(kind::cursor, "CLOSE c", {}, tagged("CLOSE CURSOR"));
}

}  // namespace pgsidecar::crossing
