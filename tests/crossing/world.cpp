#include "world.h"

#include <poll.h>

#include <charconv>
#include <stdexcept>

#include "wire.h"

namespace pgsidecar::crossing {
namespace {

// A session past the program under test, one question at a time.
class direct_session {
  public:
    explicit direct_session(std::uint16_t port) {
        if (!wire_.connect(port)) throw std::runtime_error("the server cannot be reached");
        wire_.start_up({{"user", "postgres"}, {"database", "postgres"}});
        (void)read();
    }

    std::vector<row> ask(const std::string& sql) {
        wire_.query(sql);
        return read();
    }

  private:
    std::vector<row> read() {
        std::vector<row> rows;
        for (;;) {
            pollfd waits{wire_.fd(), static_cast<short>(POLLIN | (wire_.unsent() ? POLLOUT : 0)),
                         0};
            (void)::poll(&waits, 1, -1);
            if (wire_.unsent()) (void)wire_.send_some();
            if ((waits.revents & POLLIN) != 0 && !wire_.receive())
                throw std::runtime_error("the server has closed the connection");
            while (const auto f = wire_.next()) {
                if (f->type == 'D') rows.push_back(row_of(f->body));
                if (f->type == 'E') throw std::runtime_error(error_field(f->body, 'M'));
                if (f->type == 'Z') return rows;
            }
        }
    }

    wire wire_;
};

}  // namespace

const std::vector<std::string> world::zones{"UTC", "America/New_York", "Asia/Tokyo",
                                            "Asia/Kolkata"};
const std::vector<std::string> world::styles{"ISO, MDY", "German, DMY", "SQL, DMY",
                                             "Postgres, MDY"};
const std::vector<std::string> world::digits{"1", "0", "-5"};
const std::vector<std::string> world::outputs{"hex", "escape"};

std::string_view name_of(table t) {
    constexpr std::array<std::string_view, table_count> names{"visit", "item", "chart"};
    return names[static_cast<std::size_t>(t)];
}

std::string party_name(party p) {
    if (p < 0) return "";
    if (p < first_role) return "t" + std::to_string(p);
    if (p < nobody) return "r" + std::to_string(p - first_role);
    if (p == nobody) return "nobody";
    return std::string{users[static_cast<std::size_t>(p - first_user)]};
}

party party_of(std::string_view name) {
    for (std::size_t i = 0; i < users.size(); ++i)
        if (name == users[i]) return first_user + static_cast<int>(i);
    if (name == "nobody") return nobody;
    if (name.size() < 2 || (name[0] != 't' && name[0] != 'r')) return no_party;
    int n = -1;
    const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), n);
    if (error != std::errc{} || end != name.data() + name.size()) return no_party;
    return name[0] == 't' ? n : first_role + n;
}

world::world(std::uint16_t direct_port)
    : direct_port_{direct_port},
      cells_(table_count * static_cast<std::size_t>(party_count) * rows_each),
      holders_(tenant_count) {
    for (auto& holder : holders_) holder = -1;
    direct_session server{direct_port};
    const auto learn = [&](auto& into, const std::string& key, const std::string& column) {
        into[key] = server.ask("SELECT " + column + " FROM visit LIMIT 1").at(0).at(0).value();
    };
    for (const auto& zone : zones)
        for (const auto& style : styles) {
            (void)server.ask("SET TimeZone = '" + zone + "'");
            (void)server.ask("SET DateStyle = '" + style + "'");
            learn(moments_, zone + '/' + style, "moment");
        }
    for (const auto& digit : digits) {
        (void)server.ask("SET extra_float_digits = " + digit);
        learn(ratios_, digit, "ratio");
    }
    for (const auto& output : outputs) {
        (void)server.ask("SET bytea_output = " + output);
        learn(marks_, output, "mark");
    }
}

std::vector<std::string> world::final_check(bool some_unknown) {
    std::vector<std::string> wrong;
    direct_session server{direct_port_};
    const auto look = [&](table t, const std::string& from, party belongs_to) {
        const auto rows = server.ask("SELECT * FROM (" + from + ") x");
        for (const auto& r : rows) {
            const auto p = party_of(r.at(0).value_or(""));
            const auto id = number_of(r.at(1).value_or(""), false);
            const auto count = number_of(r.at(2).value_or(""), false);
            const std::string where = std::string{name_of(t)} + " of " + party_name(p) + ", id " +
                                      std::to_string(id) + ": ";
            if (p == no_party || id < 0 || id >= rows_each ||
                (belongs_to != no_party && p != belongs_to)) {
                wrong.push_back(where + "a row in the wrong place");
                continue;
            }
            const auto& known = at(t, p, static_cast<int>(id));
            const auto least = known.acknowledged.load();
            const auto most = known.sent.load();
            if (count < least || count > most || (!some_unknown && least != most))
                wrong.push_back(where + "counter " + std::to_string(count) + ", acknowledged " +
                                std::to_string(least) + ", sent " + std::to_string(most));
        }
        return rows.size();
    };
    const auto expect = [&](table t, std::size_t got, int parties) {
        if (got != static_cast<std::size_t>(parties * rows_each))
            wrong.push_back(std::string{name_of(t)} + " has " + std::to_string(got) + " rows");
    };
    expect(table::visit, look(table::visit, "SELECT tenant, id, counter FROM visit", no_party),
           tenant_count);
    expect(table::chart, look(table::chart, "SELECT tenant, id, counter FROM chart", no_party),
           role_count + static_cast<int>(users.size()));
    for (party p = 0; p <= nobody; ++p) {
        const auto schema = p == nobody ? "public" : party_name(p);
        expect(table::item,
               look(table::item, "SELECT tenant, id, counter FROM " + schema + ".item", p), 1);
    }
    return wrong;
}

}  // namespace pgsidecar::crossing
