// Who may log in from where and how, from a file in the format of PostgreSQL's pg_hba.conf:
//
//     local      DATABASE  USER  METHOD
//     host       DATABASE  USER  ADDRESS[/BITS | NETMASK]  METHOD
//     hostssl, hostnossl: as host, for connections with TLS or without
//
// The first record that fits decides; where none fits, nobody is let in. What PostgreSQL has and a
// proxy cannot answer (groups, files of names, regular expressions, host names, samehost, samenet,
// methods of the operating system, options) is refused, never skipped: a record that is left out
// hands its clients to the next one. So is what PostgreSQL and PgBouncer read differently: a comma
// behind a blank, a quote inside a word, an address with bits beyond its mask.
// PostgreSQL: "The pg_hba.conf File"; PgBouncer: config.md, "HBA file format".
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/address.h"
#include "config/tree.h"

namespace pgsidecar::config {

enum class hba_connection { local, plain, tls };  // local = Unix socket
enum class hba_type { local, host, hostssl, hostnossl };
enum class hba_method { reject, trust, md5, password, scram_sha_256, cert };

// Matches nothing by default: what is left of "replication", as log-ins here are ordinary ones.
struct hba_names {
    bool all = false;
    bool same_user = false;          // databases only: the one named as the user
    std::vector<std::string> names;  // sorted; compared bytewise, case and all
};

struct hba_record {
    int line = 0;  // the first one of the record
    hba_type type = hba_type::local;
    hba_names databases;
    hba_names users;
    bool any_address = true;  // of either family
    ip_address network{};     // no bit is set here that is not set in the mask
    ip_address mask{};
    hba_method method = hba_method::reject;
};

struct hba_rules {
    std::vector<hba_record> records;  // in the order of the file

    // The record that decides, null when none fits. `client` is not looked at for local ones. It
    // is linear in the records; a list of names costs its logarithm.
    [[nodiscard]] const hba_record* find(hba_connection kind, std::string_view database,
                                         std::string_view user,
                                         const ip_address& client) const noexcept;

    [[nodiscard]] hba_method match(hba_connection kind, std::string_view database,
                                   std::string_view user, const ip_address& client) const noexcept;
};

struct hba_file_result {
    hba_rules rules;                     // without records when there are problems
    std::vector<text_problem> problems;  // by line, the first 20
};

// Never throws for what the text holds.
[[nodiscard]] hba_file_result read_hba_file(std::string_view text);

}  // namespace pgsidecar::config
