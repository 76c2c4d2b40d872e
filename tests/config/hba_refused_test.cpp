// What an HBA file may not hold: each case is named with its line, and refuses the whole file.
#include <string>

#include "config/hba_file.h"
#include "tests/config/support.h"

using namespace pgsidecar::config;
using namespace std::string_literals;

namespace {

hba_file_result read(std::string_view text) {
    const std::string exact{text};  // a copy of just that size
    return read_hba_file(exact);
}

}  // namespace

TEST_CASE("hba file: what is malformed or not supported is named with its line") {
    const std::string types = " is not a record type: local, host, hostssl, hostnossl";
    const std::string methods =
        " is not a method: reject, trust, md5, password, scram-sha-256, cert";
    const std::string groups = " is not supported: who is in which group is not known here";
    const std::string inside = "a quote inside a word; quotes stand around all of it";
    const std::string long_name(64, 'n');
    const struct {
        std::string text;
        std::string want;
    } rows[] = {
        {"Local d u trust", "\"Local\"" + types},
        {"x", "\"x\"" + types},
        {"trust", "\"trust\"" + types},
        {"hostgssenc d u all trust", "record type \"hostgssenc\" is not supported"},
        {"hostnogssenc d u all trust", "record type \"hostnogssenc\" is not supported"},
        {"include other.conf", "record type \"include\" is not supported"},
        {"include_if_exists other.conf", "record type \"include_if_exists\" is not supported"},
        {"include_dir hba.d", "record type \"include_dir\" is not supported"},
        {"local,host d u trust", "more than one record type"},
        {"local", "ends before its database"},
        {"local d", "ends before its user"},
        {"local d u", "ends before its method"},
        {"host d u", "ends before its address"},
        {"host d u all", "ends before its method"},
        {"host d u 10.0.0.0/8", "ends before its method"},
        {"host d u 10.0.0.0", "ends before its netmask (or write the address with a /)"},
        {"host d u 10.0.0.0 255.0.0.0", "ends before its method"},

        {"local samerole u trust", "\"samerole\"" + groups},
        {"local d,samegroup u trust", "\"samegroup\"" + groups},
        {"local d +admins trust", "\"+admins\"" + groups},
        {"local d u,+admins trust", "\"+admins\"" + groups},
        {"local +d u trust", "\"+d\"" + groups},
        {"local @list u trust", "\"@list\" is not supported: write the names of the file here"},
        {"local d u,@list trust", "\"@list\" is not supported: write the names of the file here"},
        {"local /^d u trust", "\"/^d\": regular expressions are not supported"},
        {"local d \"/^u\" trust", "\"/^u\": regular expressions are not supported"},
        {"local d \"\" trust", "an empty name"},
        {"local " + long_name + " u trust", "a name longer than 63 bytes"},
        {"local d \"" + long_name + "\" trust", "a name longer than 63 bytes"},

        {"host d u samehost trust", "\"samehost\" is not supported: write the addresses"},
        {"host d u samenet trust", "\"samenet\" is not supported: write the addresses"},
        {"host d u \"all\" trust",
         "\"all\" is a host name, which is not supported; write addresses"},
        {"host d u \"samenet\" trust",
         "\"samenet\" is a host name, which is not supported; write addresses"},
        {"host d u db.example.com trust",
         "\"db.example.com\" is a host name, which is not supported; write addresses"},
        {"host d u .example.com/24 trust",
         "\".example.com\" is a host name, which is not supported; write addresses"},
        {"host d u 10.0.0/8 trust", "\"10.0.0\" is not an IP address"},
        {"host d u 010.0.0.0/8 trust", "\"010.0.0.0\" is not an IP address"},
        {"host d u 10.0.0.256/32 trust", "\"10.0.0.256\" is not an IP address"},
        {"host d u fe80::1%eth0/128 trust", "\"fe80::1%eth0\" is not an IP address"},
        {"host d u fe80:::1/128 trust", "\"fe80:::1\" is not an IP address"},
        {"host d u /8 trust", "\"\" is not an IP address"},
        {"host d u \xff trust", "a word that is not UTF-8 is not an IP address"},
        {"host d u 10.0.0.1,10.0.0.2 trust", "more than one address"},
        {"host d u 10.0.0.0/33 trust",
         "\"10.0.0.0/33\" does not end with a number of bits from 0 to 32"},
        {"host d u 10.0.0.0/ trust",
         "\"10.0.0.0/\" does not end with a number of bits from 0 to 32"},
        {"host d u 10.0.0.0/-1 trust",
         "\"10.0.0.0/-1\" does not end with a number of bits from 0 to 32"},
        {"host d u 10.0.0.0/8/8 trust",
         "\"10.0.0.0/8/8\" does not end with a number of bits from 0 to 32"},
        {"host d u 10.0.0.0/0008 trust",
         "\"10.0.0.0/0008\" does not end with a number of bits from 0 to 32"},
        {"host d u 10.0.0.0/255.0.0.0 trust",
         "\"10.0.0.0/255.0.0.0\" does not end with a number of bits from 0 to 32"},
        {"host d u ::/129 trust", "\"::/129\" does not end with a number of bits from 0 to 128"},
        {"host d u 10.0.0.5/8 trust", "\"10.0.0.5/8\" has bits set beyond its mask"},
        {"host d u 10.0.0.0/6 trust", "\"10.0.0.0/6\" has bits set beyond its mask"},
        {"host d u fe80::1/64 trust", "\"fe80::1/64\" has bits set beyond its mask"},
        {"host d u 10.0.0.0 0.255.255.255 trust", "\"10.0.0.0\" has bits set beyond its mask"},
        {"host d u ::ffff:10.0.0.0/104 trust",
         "\"::ffff:10.0.0.0\" is an IPv4 address; write it as one"},
        {"host d u 10.0.0.0 trust", "\"trust\" is not a netmask (nor has the address a /)"},
        {"host d u 10.0.0.0 255.0.0 trust",
         "\"255.0.0\" is not a netmask (nor has the address a /)"},
        {"host d u 10.0.0.0 255.0.0.0,255.0.0.0 trust",
         "more than one netmask (or write the address with a /)"},
        {"host d u 10.0.0.0 ffff:: trust", "an address and a netmask of two families"},
        {"host d u fe80:: 255.0.0.0 trust", "an address and a netmask of two families"},

        {"local d u peer", "method \"peer\" is not supported"},
        {"host d u all ident", "method \"ident\" is not supported"},
        {"host d u all ldap ldapserver=x", "method \"ldap\" is not supported"},
        {"host d u all pam", "method \"pam\" is not supported"},
        {"host d u all gss", "method \"gss\" is not supported"},
        {"host d u all sspi", "method \"sspi\" is not supported"},
        {"host d u all radius", "method \"radius\" is not supported"},
        {"host d u all bsd", "method \"bsd\" is not supported"},
        {"host d u all oauth", "method \"oauth\" is not supported"},
        {"local d u Trust", "\"Trust\"" + methods},
        {"local d u scram-sha-1", "\"scram-sha-1\"" + methods},
        {"local d u all trust", "\"all\"" + methods},
        {"host d u all 255.0.0.0 trust", "\"255.0.0.0\"" + methods},
        {"local d u 10.0.0.0/8 trust", "\"10.0.0.0/8\"" + methods},
        {"local d u trust,md5", "more than one method"},
        {"host d u all cert", "method \"cert\" is for hostssl records only"},
        {"hostnossl d u all cert", "method \"cert\" is for hostssl records only"},
        {"local d u cert", "method \"cert\" is for hostssl records only"},
        {"hostssl d u all cert map=x", "options behind the method are not supported"},
        {"local d u trust trust", "options behind the method are not supported"},

        {"local \"d u trust", "a quote that is not closed in its line"},
        {"local \"d\"\" u trust", "a quote that is not closed in its line"},
        {"local d u trust \"", "a quote that is not closed in its line"},
        {"local d\"e\" u trust", inside},
        {"local \"d\"e u trust", inside},
        {"local @\"d\" u trust", inside},
        {"local d ,u trust", "a comma that does not follow a value"},
        {"local d , e u trust", "a comma that does not follow a value"},
        {"local d,,e u trust", "a comma that does not follow a value"},
        {",local d u trust", "a comma that does not follow a value"},
        {"local d u trust,", "a comma without a value behind it"},
        {"local d, # e u trust", "a comma without a value behind it"},
        {"local d\0 u trust"s, "a control character"},
        {"local d u trust #\0"s, "a control character"},
        {"local d\ru trust", "a control character"},
        {"local d u\x7f trust", "a control character"},
        {"local d\vu trust", "a control character"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto r = read("local all all trust\n# \\\n\n" + row.text + "\nlocal all all trust\n");
        CHECK(problems_of(r.problems) == lines{"f:4: " + row.want});
        CHECK(r.rules.records.empty());
        CHECK(r.rules.match(hba_connection::local, "d", "u", {}) == hba_method::reject);
    }
}

TEST_CASE("hba file: a record of several lines is named by its first, and all are reported") {
    CHECK(problems_of(read("local d \\\n u \\\nx\nlocal \"d\n\nhost d u all\n").problems) ==
          lines{"f:1: \"x\" is not a method: reject, trust, md5, password, scram-sha-256, cert",
                "f:4: a quote that is not closed in its line", "f:6: ends before its method"});
}
