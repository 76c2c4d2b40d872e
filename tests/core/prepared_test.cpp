// The two views of a session's prepared statements, and the order of what is owed.
#include "proxy/core/prepared.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "proxy/core/owed.h"

using namespace pgsidecar::core;
using step = prepared_statements::repair_step;

namespace {

prepared_ptr definition() { return std::make_shared<const prepared>(); }

}  // namespace

TEST_CASE("prepared: what brings the server to what the client believes") {
    const auto a = definition(), b = definition();
    const struct {
        const char* name;
        prepared_ptr client, server;
        step named, unnamed;
    } rows[] = {
        {"neither", nullptr, nullptr, step::none, step::none},
        {"agreed", a, a, step::none, step::none},
        {"parsed in the cache", a, nullptr, step::parse, step::parse},
        {"closed in the cache", nullptr, a, step::close, step::close},
        {"replaced in the cache", b, a, step::close_and_parse, step::parse},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        prepared_statements all;
        all.set("s", {row.client, row.server});
        all.set("", {row.client, row.server});
        CHECK(all.repair("s") == row.named);
        CHECK(all.repair("") == row.unnamed);
    }
}

TEST_CASE("prepared: a name that neither side knows takes no memory") {
    prepared_statements all;
    all.set_client("s", definition());
    CHECK(all.size() == 1);
    all.set_client("s", nullptr);
    CHECK(all.size() == 0);
    all.set("t", {});
    CHECK(all.size() == 0);
}

TEST_CASE("prepared: dropping all leaves the unnamed statement") {
    prepared_statements all;
    const auto unnamed = definition();
    all.set("", {unnamed, unnamed});
    for (const char* name : {"a", "b"}) all.set(name, {definition(), nullptr});
    auto dropped = all.drop("");
    CHECK(all.size() == 1);
    CHECK(all.client("") == unnamed);
    CHECK(dropped.size() == 2);

    const auto newer = definition();
    all.set("a", {newer, newer});
    all.restore(std::move(dropped));
    CHECK(all.size() == 3);
    CHECK(all.client("a") == newer);
    CHECK(all.drop("b").size() == 1);
    CHECK(all.drop("b").empty());
}

TEST_CASE("prepared: what is left at a server connection, and what only it has, after any calls") {
    std::mt19937 random{11};
    const char* const names[] = {"", "a", "b", "c", "d"};
    std::vector<prepared_ptr> known{nullptr, nullptr};
    auto facts = std::make_shared<analysis>();
    facts->facts.statements.resize(1);
    const auto alone = std::make_shared<const statement_text>(statement_text{"PREPARE", facts});
    for (int i = 0; i < 6; ++i) {
        prepared one;
        one.sql_statement = i < 4 ? i % 2 : -1;  // the first are of SQL's PREPARE
        if (i == 2) one.text = alone;            // and this one could be made anew
        known.push_back(std::make_shared<const prepared>(one));
    }
    const auto any = [&](const auto& from) { return from[random() % std::size(from)]; };
    prepared_statements all;
    std::map<std::string, prepared_statements::views> model;
    std::vector<std::vector<prepared_statements::slot>> dropped;
    int stayed = 0, left_behind = 0, held = 0, restored = 0;
    for (int i = 0; i < 50'000; ++i) {
        CAPTURE(i);
        const std::string name = any(names);
        switch (random() % 12) {
            case 0:
            case 1:
            case 2: {
                const prepared_statements::views v{any(known), any(known)};
                all.set(name, v);
                model[name] = v;
                break;
            }
            case 3:
            case 4: {
                const auto definition = any(known);
                all.set_client(name, definition);
                model[name].client = definition;
                break;
            }
            case 5:
            case 6:
                dropped.push_back(all.drop(name));
                REQUIRE(dropped.back().size() <= model.size());
                for (const auto& s : dropped.back()) {
                    REQUIRE(s.both == model[s.name]);
                    REQUIRE((name.empty() ? !s.name.empty() : s.name == name));
                }
                std::erase_if(model, [&](const auto& item) {
                    return name.empty() ? !item.first.empty() : item.first == name;
                });
                break;
            case 7:
            case 8:
                if (dropped.empty()) break;
                restored += static_cast<int>(dropped.back().size());
                for (const auto& s : dropped.back()) model.try_emplace(s.name, s.both);
                all.restore(std::move(dropped.back()));
                dropped.pop_back();
                break;
            case 9: {
                std::vector<std::string> left{"before"}, expected{"before"};
                bool unnamed = false;
                all.leave_server(left, unnamed);
                REQUIRE(unnamed == (model[""].server != nullptr));
                for (auto& [key, v] : model) {
                    if (!key.empty() && v.server == v.client && v.client && v.client->text) {
                        ++stayed;
                        continue;
                    }
                    if (v.server && !key.empty()) expected.push_back(key);
                    v.server.reset();
                }
                std::sort(left.begin() + 1, left.end());
                REQUIRE(left == expected);
                left_behind += static_cast<int>(left.size()) - 1;
                // Nothing is left twice.
                left.clear();
                all.leave_server(left, unnamed);
                REQUIRE(left.empty());
                REQUIRE_FALSE(unnamed);
                break;
            }
            default:
                if (!name.empty()) break;
                all.find_foreign_unnamed();
                REQUIRE(all.repair("") != step::none);
                model[""].server = all.get("").server;
        }
        std::erase_if(model,
                      [](const auto& item) { return !item.second.client && !item.second.server; });
        REQUIRE(all.size() == model.size());
        bool is_private = false;
        int repeatable = 0;
        for (const auto& [key, v] : model) {
            REQUIRE(all.get(key) == v);
            is_private = is_private ||
                         (v.client && v.client->sql_statement >= 0 && !v.client->is_repeatable());
            repeatable += v.client && v.client->is_repeatable() ? 1 : 0;
        }
        REQUIRE(all.holds_private() == is_private);
        REQUIRE(all.repeatable() == repeatable);
        held += is_private;
    }
    CHECK(left_behind > 1000);
    CHECK(stayed > 100);
    CHECK(restored > 1000);
    CHECK((held > 1000 && held < 49'000));
}

TEST_CASE("owed: first sent, first answered; empty again without memory") {
    owed_replies owed;
    CHECK(owed.empty());
    owed.push({.what = reply::parse});
    owed.push({.what = reply::execute});
    owed.push({.what = reply::sync});
    CHECK(owed.size() == 3);
    owed.erase(1);
    CHECK(owed.front().what == reply::parse);
    owed.pop();
    CHECK(owed.front().what == reply::sync);
    owed.pop();
    CHECK(owed.empty());
    owed.release_memory();
    CHECK(owed.empty());
    CHECK(owed.size() == 0);
}
