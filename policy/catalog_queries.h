// The texts of catalog_queries() by place: what the builder expects in which row.
#pragma once
#include <cstddef>

namespace pgsidecar::policy {

enum class catalog_source : std::size_t {
    server,             // name, value
    roles,              // name, is superuser, attributes and memberships
    defaults,           // role or '', in this database only, setting, value
    schemas,            // name, owner, role with USAGE or '' for all; a row for each grant
    relations,          // oid, schema, name, kind, persistence, row security, rules, privileges
    inheritance,        // child, parent
    views,              // relation, text
    foreign_keys,       // referenced, referencing, on delete, on update
    triggers,           // relation, function, type, function in WHEN or null
    policies,           // relation, command, using or null, with check or null, roles
    functions,          // oid, schema, name, volatility, kind, language, definer, owner,
                        // search_path or null, callable as row.name, definition or null,
                        // library or null, user functions of an aggregate or null,
                        // argument defaults or null, privileges
    builtin_functions,  // name, volatility
    operators,          // schema, name, volatility, function
    builtin_operators,  // name, volatility
    types,              // schema, name, kind, volatility, functions
    implicit_casts,     // how many run what is not immutable, their user functions or null
    datetime_columns,   // name, relations where it is one, relations where it is not
    volatile_columns,   // relation with a column whose type's input is not immutable
    write_functions,    // relation, function that a write to it may call
    publications,       // publication, relation that it tells of; 0 for all
    definitions,        // a hash of every column and enum label
    role_changes,       // how often roles, memberships and their defaults were changed
    other_changes,  // how often other definitions were, where nobody tells of them; may be left out
    count_
};

}  // namespace pgsidecar::policy
