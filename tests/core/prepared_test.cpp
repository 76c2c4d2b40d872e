// The two views of a session's prepared statements, and the order of what is owed.
#include "proxy/core/prepared.h"

#include <doctest/doctest.h>

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
