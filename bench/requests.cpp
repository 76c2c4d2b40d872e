#include "bench/requests.h"

#include <algorithm>

namespace pgsidecar::bench {
namespace {

constexpr std::uint64_t tenants = 50;
constexpr std::uint64_t stride = 7919;  // prime: neighbouring keys are on different pages
constexpr std::int32_t oid_int8 = 20;
constexpr std::int32_t oid_text = 25;

constexpr const char* point_sql =
    "SELECT id, tenant_id, patient_id, prescriber_id, drug_code, drug_name, dosage, quantity, "
    "refills, status, prescribed_at, expires_on, notes FROM ";
constexpr const char* point_table = "prescriptions";
constexpr const char* point_where = " WHERE id = ";
constexpr const char* list_sql =
    "SELECT id, patient_id, drug_code, drug_name, dosage, quantity, refills, status, "
    "prescribed_at, expires_on FROM prescriptions WHERE tenant_id = ";
constexpr const char* list_sql_bound = " AND id <= ";
constexpr const char* list_sql_tail = " ORDER BY id DESC LIMIT 100";

void put_integer(std::string& out, std::uint64_t value, int octets) {
    for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>((value >> shift) & 0xff));
    }
}

void put_frame(std::string& out, char type, std::string_view body) {
    out.push_back(type);
    put_integer(out, body.size() + 4, 4);
    out.append(body);
}

void put_cstring(std::string& out, std::string_view text) {
    out.append(text);
    out.push_back('\0');
}

struct key_values {
    std::string tenant;
    std::uint64_t id;
};

// Point: every row of the table once before any repeats. List: the tenants in turn, each reading
// its newest rows first, one row further down at each turn.
key_values values_of(const workload& w, std::uint64_t key) {
    if (w.what == query::point && w.tables > 0) return {"", 1 + key / w.tables % w.rows};
    if (w.what == query::point) return {"", 1 + (key * stride) % w.rows};
    const auto tenant = key % tenants + 1;
    std::string name = "pharmacy-";
    if (tenant < 10) name += '0';
    name += std::to_string(tenant);
    // The lower half is never the start of a page, so every page is full.
    return {name, w.rows - (key / tenants) % (w.rows / 2)};
}

// Behind the name of the table, or of what is prepared for it.
std::string suffix_of(const workload& w, std::uint64_t key) {
    return w.tables == 0 ? std::string{} : "_" + std::to_string(key % w.tables);
}

std::string point_sql_of(const workload& w, std::uint64_t key) {
    return std::string{point_sql} + point_table + suffix_of(w, key) + point_where;
}

std::string literal_sql(const workload& w, std::uint64_t key, const key_values& v) {
    if (w.what == query::point) return point_sql_of(w, key) + std::to_string(v.id);
    return list_sql + ("'" + v.tenant + "'") + list_sql_bound + std::to_string(v.id) +
           list_sql_tail;
}

std::string parameter_sql(const workload& w, std::uint64_t key) {
    if (w.what == query::point) return point_sql_of(w, key) + "$1";
    return std::string(list_sql) + "$1" + list_sql_bound + "$2" + list_sql_tail;
}

void put_parse(std::string& out, std::string_view name, const workload& w, std::uint64_t key) {
    std::string body;
    put_cstring(body, name);
    put_cstring(body, parameter_sql(w, key));
    if (w.what == query::point) {
        put_integer(body, 1, 2);
    } else {
        put_integer(body, 2, 2);
        put_integer(body, oid_text, 4);
    }
    put_integer(body, oid_int8, 4);
    put_frame(out, 'P', body);
}

void put_bind(std::string& out, std::string_view statement, query what, const key_values& v) {
    std::string body;
    put_cstring(body, "");
    put_cstring(body, statement);
    put_integer(body, 1, 2);  // one format for all parameters:
    put_integer(body, 1, 2);  // binary
    if (what == query::point) {
        put_integer(body, 1, 2);
    } else {
        put_integer(body, 2, 2);
        put_integer(body, v.tenant.size(), 4);
        body += v.tenant;
    }
    put_integer(body, 8, 4);
    put_integer(body, v.id, 8);
    put_integer(body, 1, 2);  // one format for all columns:
    put_integer(body, 1, 2);  // binary
    put_frame(out, 'B', body);
}

void put_execute_sync(std::string& out) {
    using namespace std::string_view_literals;
    put_frame(out, 'E', "\0\0\0\0\0"sv);  // the unnamed portal, no row limit
    put_frame(out, 'S', "");
}

void put_request(std::string& out, const workload& w, std::uint64_t key) {
    using namespace std::string_view_literals;
    const auto values = values_of(w, key);
    switch (w.how) {
        case shape::simple:
            put_frame(out, 'Q', literal_sql(w, key, values) + '\0');
            return;
        case shape::extended:
            put_parse(out, "", w, key);
            put_bind(out, "", w.what, values);
            put_frame(out, 'D', "P\0"sv);
            put_execute_sync(out);
            return;
        case shape::prepared:
            put_bind(out, "_p1" + suffix_of(w, key), w.what, values);
            put_execute_sync(out);
            return;
    }
}

}  // namespace

request_set build(const workload& w) {
    request_set set;
    set.offsets.reserve(w.keys + w.wrap + 1);
    for (std::uint64_t i = 0; i < w.keys + w.wrap; ++i) {
        set.offsets.push_back(set.bytes.size());
        put_request(set.bytes, w, w.first + i % w.keys);
    }
    set.offsets.push_back(set.bytes.size());
    if (w.how == shape::prepared) {
        set.prepares = static_cast<std::uint32_t>(std::max<std::uint64_t>(w.tables, 1));
        for (std::uint64_t table = 0; table < set.prepares; ++table) {
            put_parse(set.prepare, "_p1" + suffix_of(w, table), w, table);
            put_frame(set.prepare, 'S', "");
        }
    }
    return set;
}

std::uint64_t rows_per_reply(query what) { return what == query::point ? 1 : 100; }

}  // namespace pgsidecar::bench
