#include "config/hba_file.h"

#include <string>

#include "tests/config/support.h"

using namespace pgsidecar::config;
using namespace std::string_literals;

namespace {

hba_file_result read(std::string_view text) {
    const std::string exact{text};  // a copy of just that size
    return read_hba_file(exact);
}

constexpr auto local = hba_connection::local;
constexpr auto plain = hba_connection::plain;
constexpr auto tls = hba_connection::tls;

struct attempt {
    hba_connection kind;
    std::string_view database;
    std::string_view user;
    const char* client;
    int line;  // of the record that decides; 0 = none
};

void check(std::string_view text, std::initializer_list<attempt> attempts) {
    const hba_file_result r = read(text);
    CAPTURE(text);
    REQUIRE(problems_of(r.problems) == lines{});
    for (const attempt& a : attempts) {
        CAPTURE(static_cast<int>(a.kind));
        CAPTURE(a.database);
        CAPTURE(a.user);
        CAPTURE(std::string{a.client});
        const auto client = read_ip_address(a.client);
        REQUIRE(client.has_value());
        const hba_record* const got = r.rules.find(a.kind, a.database, a.user, *client);
        CHECK((got == nullptr ? 0 : got->line) == a.line);
        const auto method = r.rules.match(a.kind, a.database, a.user, *client);
        CHECK(method == (got == nullptr ? hba_method::reject : got->method));
    }
}

}  // namespace

TEST_CASE("hba file: the kind of the connection") {
    check(
        "local all l trust\n"
        "host all h all trust\n"
        "hostssl all s all trust\n"
        "hostnossl all n all trust\n",
        {{local, "d", "l", "::", 1},
         {plain, "d", "l", "::", 0},
         {tls, "d", "l", "::", 0},
         {local, "d", "h", "127.0.0.1", 0},
         {plain, "d", "h", "127.0.0.1", 2},
         {tls, "d", "h", "127.0.0.1", 2},
         {local, "d", "s", "127.0.0.1", 0},
         {plain, "d", "s", "127.0.0.1", 0},
         {tls, "d", "s", "127.0.0.1", 3},
         {local, "d", "n", "127.0.0.1", 0},
         {plain, "d", "n", "127.0.0.1", 4},
         {tls, "d", "n", "127.0.0.1", 0}});
}

TEST_CASE("hba file: the first record that fits decides, and without one nobody is let in") {
    check(
        "# TYPE  DATABASE  USER  ADDRESS  METHOD\n"
        "host all anna 10.0.0.1/32 reject\n"
        "host all anna 10.0.0.0/24 trust\n"
        "host shop all 10.0.0.0/24 md5\n",
        {{plain, "shop", "anna", "10.0.0.1", 2},
         {plain, "shop", "anna", "10.0.0.2", 3},
         {plain, "shop", "bert", "10.0.0.2", 4},
         {plain, "mail", "bert", "10.0.0.2", 0},
         {plain, "shop", "bert", "10.0.1.2", 0}});
    CHECK(read("").rules.match(plain, "d", "u", {}) == hba_method::reject);
    CHECK(hba_rules{}.find(local, "d", "u", {}) == nullptr);
}

TEST_CASE("hba file: each method by its name") {
    static constexpr struct {
        const char* name;
        hba_method want;
    } rows[] = {
        {"reject", hba_method::reject},
        {"trust", hba_method::trust},
        {"md5", hba_method::md5},
        {"password", hba_method::password},
        {"scram-sha-256", hba_method::scram_sha_256},
        {"cert", hba_method::cert},
        {"\"md5\"", hba_method::md5},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const auto r = read("hostssl all all ::/0 "s + row.name);
        REQUIRE(problems_of(r.problems) == lines{});
        CHECK(r.rules.match(tls, "d", "u", *read_ip_address("::1")) == row.want);
    }
}

TEST_CASE("hba file: databases and users, keywords and names") {
    check("local shop,mail anna,bert trust\n", {{local, "shop", "anna", "::", 1},
                                                {local, "mail", "bert", "::", 1},
                                                {local, "shop", "shop", "::", 0},
                                                {local, "Shop", "anna", "::", 0},
                                                {local, "shop", "ANNA", "::", 0},
                                                {local, "shop,mail", "anna", "::", 0},
                                                {local, "", "anna", "::", 0}});
    check("local a, b,\tc u, \"v w\"  trust\n", {{local, "a", "u", "::", 1},
                                                 {local, "b", "v w", "::", 1},
                                                 {local, "c", "u", "::", 1},
                                                 {local, "d", "u", "::", 0}});
    check("local sameuser all trust\n", {{local, "anna", "anna", "::", 1},
                                         {local, "anna", "Anna", "::", 0},
                                         {local, "sameuser", "anna", "::", 0}});
    check("local x,sameuser anna,bert trust\n", {{local, "bert", "bert", "::", 1},
                                                 {local, "x", "bert", "::", 1},
                                                 {local, "anna", "bert", "::", 0},
                                                 {local, "carl", "carl", "::", 0}});
    check("local x,all u,all trust\n", {{local, "y", "v", "::", 1}});
    // A keyword of databases is an ordinary user.
    check("local d sameuser,replication,samerole,samegroup trust\n",
          {{local, "d", "sameuser", "::", 1},
           {local, "d", "replication", "::", 1},
           {local, "d", "samerole", "::", 1},
           {local, "d", "samegroup", "::", 1},
           {local, "d", "d", "::", 0}});
    check("local samehost ALL trust\n",
          {{local, "samehost", "ALL", "::", 1}, {local, "samehost", "x", "::", 0}});
}

TEST_CASE("hba file: replication never fits an ordinary log-in") {
    check(
        "local replication all trust\n"
        "host replication all all trust\n"
        "local replication,shop all trust\n"
        "local \"replication\" all trust\n",
        {{local, "replication", "u", "::", 4},
         {plain, "replication", "u", "::", 0},
         {local, "shop", "u", "::", 3},
         {local, "all", "u", "::", 0}});
}

TEST_CASE("hba file: in quotes a keyword is a name") {
    check("local \"all\" all trust\n", {{local, "all", "u", "::", 1}, {local, "d", "u", "::", 0}});
    check("local all \"all\" trust\n", {{local, "d", "all", "::", 1}, {local, "d", "u", "::", 0}});
    check("local \"sameuser\" all trust\n",
          {{local, "sameuser", "u", "::", 1}, {local, "u", "u", "::", 0}});
    check("local \"samerole\",\"samegroup\" all trust\n",
          {{local, "samerole", "u", "::", 1}, {local, "samegroup", "u", "::", 1}});
    check("local \"@x\",\"+x\" \"+y\",\"@y\" trust\n",
          {{local, "@x", "+y", "::", 1}, {local, "+x", "@y", "::", 1}, {local, "x", "y", "::", 0}});
    check("\"local\" d u trust\n", {{local, "d", "u", "::", 1}});
    check("host d u \"10.0.0.0/8\" trust\n", {{plain, "d", "u", "10.1.1.1", 1}});
}

TEST_CASE("hba file: quotes and comments") {
    check("local \"a,b\" \"c#d\" trust\n", {{local, "a,b", "c#d", "::", 1}});
    check("local \"a\"\"b\" \"\"\"\" trust\n", {{local, "a\"b", "\"", "::", 1}});
    check("local \" a\t\" u trust\n", {{local, " a\t", "u", "::", 1}});
    check("local d u trust# remark\n", {{local, "d", "u", "::", 1}});
    check("local d u \"trust\"# remark \"\n", {{local, "d", "u", "::", 1}});
    check("  # local all all trust\nlocal d u trust # all\n\n \t\n",
          {{local, "d", "u", "::", 2}, {local, "d", "v", "::", 0}});
    check("\xef\xbb\xbflocal d u trust\r\nlocal d v trust\r\n",
          {{local, "d", "u", "::", 1}, {local, "d", "v", "::", 2}});
    check("# caf\xe9\nlocal caf\xe9 caf\xc3\xa9 trust",
          {{local, "caf\xe9", "caf\xc3\xa9", "::", 2}});
    check("local a\\b u\\ trust\n", {{local, "a\\b", "u\\", "::", 1}});
}

TEST_CASE("hba file: a backslash at the end continues the line") {
    check("local \\\nd u \\\r\n trust\nlocal d v trust\n",
          {{local, "d", "u", "::", 1}, {local, "d", "v", "::", 4}});
    check("local sh\\\nop u trust\n", {{local, "shop", "u", "::", 1}});
    check("local \"sh\\\n op\" u trust\n", {{local, "sh op", "u", "::", 1}});
    check("local d u trust # remark \\\nlocal d v trust\nlocal d w trust\n",
          {{local, "d", "v", "::", 0}, {local, "d", "w", "::", 3}});
    check("local d u\\\\\n trust\n", {{local, "d", "u\\", "::", 1}});
    check("local d u trust #\\\\\n\nlocal d v trust\n",
          {{local, "d", "u", "::", 1}, {local, "d", "v", "::", 3}});
    check("local d u trust\\", {{local, "d", "u", "::", 1}});
    check("local d u trust\n\\\n\\\n\\\nlocal d v trust\n",
          {{local, "d", "u", "::", 1}, {local, "d", "v", "::", 2}});
}

TEST_CASE("hba file: addresses with a number of bits") {
    check("host d u 10.1.2.3/32 trust\n",
          {{plain, "d", "u", "10.1.2.3", 1}, {plain, "d", "u", "10.1.2.2", 0}});
    check("host d u 10.0.0.0/8 trust\n", {{plain, "d", "u", "10.255.255.255", 1},
                                          {plain, "d", "u", "11.0.0.0", 0},
                                          {plain, "d", "u", "9.255.255.255", 0}});
    check("host d u 10.1.32.0/19 trust\n", {{plain, "d", "u", "10.1.32.0", 1},
                                            {plain, "d", "u", "10.1.63.255", 1},
                                            {plain, "d", "u", "10.1.64.0", 0},
                                            {plain, "d", "u", "10.1.31.255", 0}});
    check("host d u 128.0.0.0/1 trust\n",
          {{plain, "d", "u", "255.0.0.1", 1}, {plain, "d", "u", "127.255.255.255", 0}});
    check("host d u 2001:db8::/33 trust\n", {{plain, "d", "u", "2001:db8:7fff::1", 1},
                                             {plain, "d", "u", "2001:db8:8000::1", 0},
                                             {plain, "d", "u", "2001:db9::1", 0}});
    check("host d u fe80::1/128 trust\n",
          {{plain, "d", "u", "fe80::1", 1}, {plain, "d", "u", "fe80::2", 0}});
}

TEST_CASE("hba file: addresses with a netmask") {
    check("host d u 10.0.0.0 255.0.0.0 trust\n",
          {{plain, "d", "u", "10.9.9.9", 1}, {plain, "d", "u", "11.0.0.0", 0}});
    check("host d u 10.0.0.1 255.0.0.255 trust\n", {{plain, "d", "u", "10.7.8.1", 1},
                                                    {plain, "d", "u", "10.7.8.2", 0},
                                                    {plain, "d", "u", "11.7.8.1", 0}});
    check("host d u 0.0.0.0 0.0.0.0 trust\n",
          {{plain, "d", "u", "1.2.3.4", 1}, {plain, "d", "u", "::1", 0}});
    check("host d u fe80:: ffff:: trust\n",
          {{plain, "d", "u", "fe80:1::1", 1}, {plain, "d", "u", "fe81::", 0}});
}

TEST_CASE("hba file: a record is for one family, and a mapped client is an IPv4 one") {
    check(
        "host d u 0.0.0.0/0 md5\n"
        "host d u ::/0 trust\n",
        {{plain, "d", "u", "1.2.3.4", 1},
         {plain, "d", "u", "::ffff:1.2.3.4", 1},
         {plain, "d", "u", "::1", 2},
         {plain, "d", "u", "::1.2.3.4", 2}});
    check("host d u ::/0 trust\n",
          {{plain, "d", "u", "1.2.3.4", 0}, {plain, "d", "u", "0.0.0.0", 0}});
    check("host d u ::/64 trust\n",
          {{plain, "d", "u", "1.2.3.4", 0}, {plain, "d", "u", "::1.2.3.4", 1}});
    check("host d u all trust\n",
          {{plain, "d", "u", "1.2.3.4", 1}, {plain, "d", "u", "fe80::1", 1}});
}

TEST_CASE("hba file: size and reports are bounded") {
    std::string text = "local d u trust\n";
    text.resize(1u << 20, '\n');
    CHECK(read(text).problems.empty());
    CHECK(problems_of(read(text + "\n").problems) == lines{"f: is larger than 1MB"});
    CHECK(read(text + "\n").rules.records.empty());

    text.clear();
    for (int i = 0; i < 100; ++i) text += "x\n";
    CHECK(read(text).problems.size() == 20);

    text = "local ";
    for (int i = 0; i < 100'000; ++i) text += "d" + std::to_string(i * 7 % 100'000) + ",";
    check(text + "d u trust\n",
          {{local, "d99999", "u", "::", 1}, {local, "d100000", "u", "::", 0}});
    text.assign((1u << 20) - 8, '\\');
    CHECK(read("local d " + text).problems.size() == 1);
}

TEST_CASE("hba file: the file that PostgreSQL is installed with, less what is not supported") {
    const std::string text =
        "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n"
        "\n"
        "# \"local\" is for Unix domain socket connections only\n"
        "local   all             all                                     trust\n"
        "# IPv4 local connections:\n"
        "host    all             all             127.0.0.1/32            scram-sha-256\n"
        "# IPv6 local connections:\n"
        "host    all             all             ::1/128                 scram-sha-256\n"
        "# Allow replication connections from localhost, by a user with the\n"
        "# replication privilege.\n"
        "local   replication     all                                     trust\n"
        "host    replication     all             127.0.0.1/32            trust\n";
    check(text, {{local, "d", "u", "::", 4},
                 {plain, "d", "u", "127.0.0.1", 6},
                 {tls, "d", "u", "::1", 8},
                 {plain, "replication", "u", "127.0.0.1", 6},
                 {plain, "d", "u", "127.0.0.2", 0}});
}
