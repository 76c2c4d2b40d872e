#include "policy/volatility.h"

namespace pgsidecar::policy {
namespace {

// Lists are texts of words with a blank behind each: easier to read and to extend than an array,
// and short enough to search.
bool contains(std::string_view words, std::string_view word) noexcept {
    if (word.empty() || word.find(' ') != std::string_view::npos) return false;
    for (auto at = words.find(word); at != std::string_view::npos; at = words.find(word, at + 1)) {
        const auto end = at + word.size();
        if ((at == 0 || words[at - 1] == ' ') && words[end] == ' ') return true;
    }
    return false;
}

constexpr std::string_view clock_readers =
    "clock_timestamp now statement_timestamp timeofday transaction_timestamp ";

// Stable in pg_proc, each for a reason that the key answers:
//  - they print or read values: TimeZone, DateStyle, IntervalStyle, lc_*, extra_float_digits,
//    bytea_output, xmloption, default_text_search_config are session state, and all of it is key;
//  - they name the user, the database or the path: key too; current_setting() reads a declared
//    setting, or shape() in plan_read.cpp would have refused;
//  - they read an enum's labels, an encoding, a text search configuration: these change by DDL,
//    which drops everything.
// age() has two arguments here; reads_clock() has the other one. Not here: what reads a catalog by
// name, privileges, sizes, statistics, other sessions, transaction ids, and json_to_record and its
// kin, whose columns may turn a stored 'today' into a date.
constexpr std::string_view key_only =
    "age array_to_json array_to_string concat concat_ws convert convert_from convert_to "
    "current_catalog current_database current_role current_schema current_schemas "
    "current_setting current_user date date_add date_cmp_timestamptz date_eq_timestamptz "
    "date_ge_timestamptz date_gt_timestamptz date_le_timestamptz date_lt_timestamptz "
    "date_ne_timestamptz date_part date_subtract date_trunc enum_first enum_last enum_range "
    "extract format generate_series get_current_ts_config getdatabaseencoding getpgusername "
    "interval_pl_timestamptz json_agg json_agg_strict json_array json_arrayagg "
    "json_build_array json_build_object json_object_agg json_object_agg_strict "
    "json_object_agg_unique json_object_agg_unique_strict json_to_tsvector jsonb_agg "
    "jsonb_agg_strict jsonb_build_array jsonb_build_object jsonb_object_agg "
    "jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_agg_unique_strict "
    "jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_array_tz "
    "jsonb_path_query_first_tz jsonb_path_query_tz jsonb_to_tsvector length make_timestamptz "
    "money numeric overlaps pg_client_encoding pg_typeof phraseto_tsquery plainto_tsquery "
    "quote_literal quote_nullable row_to_json session_user string_agg time timestamp "
    "timestamp_cmp_timestamptz timestamp_eq_timestamptz timestamp_ge_timestamptz "
    "timestamp_gt_timestamptz timestamp_le_timestamptz timestamp_lt_timestamptz "
    "timestamp_ne_timestamptz timestamptz timestamptz_cmp_date timestamptz_cmp_timestamp "
    "timestamptz_eq_date timestamptz_eq_timestamp timestamptz_ge_date "
    "timestamptz_ge_timestamp timestamptz_gt_date timestamptz_gt_timestamp "
    "timestamptz_le_date timestamptz_le_timestamp timestamptz_lt_date "
    "timestamptz_lt_timestamp timestamptz_mi_interval timestamptz_ne_date "
    "timestamptz_ne_timestamp timestamptz_pl_interval timetz timezone to_char to_date to_json "
    "to_jsonb to_number to_timestamp to_tsquery to_tsvector ts_headline ts_match_tq "
    "ts_match_tt user version websearch_to_tsquery ";

// Volatile because they differ from call to call or read what no table holds; they write nothing.
// bernoulli and system are the methods of TABLESAMPLE.
constexpr std::string_view volatile_readers =
    "array_sample array_shuffle bernoulli clock_timestamp current_query currval "
    "gen_random_uuid lastval lo_get lo_lseek lo_lseek64 lo_tell lo_tell64 loread "
    "pg_blocking_pids pg_collation_actual_version pg_control_checkpoint pg_control_init "
    "pg_control_recovery pg_control_system pg_current_logfile pg_current_wal_flush_lsn "
    "pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_collation_actual_version "
    "pg_database_size pg_get_backend_memory_contexts pg_get_multixact_members "
    "pg_get_shmem_allocations pg_get_wal_replay_pause_state pg_get_wal_resource_managers "
    "pg_hba_file_rules pg_ident_file_mappings pg_indexes_size pg_is_in_recovery "
    "pg_is_wal_replay_paused pg_isolation_test_session_is_blocked pg_jit_available "
    "pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn "
    "pg_last_xact_replay_timestamp pg_lock_status pg_logical_slot_peek_binary_changes "
    "pg_logical_slot_peek_changes pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir "
    "pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_tmpdir pg_ls_waldir "
    "pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_prepared_xact "
    "pg_read_binary_file pg_read_file pg_read_file_old pg_relation_size "
    "pg_replication_origin_progress pg_replication_origin_session_is_setup "
    "pg_replication_origin_session_progress pg_safe_snapshot_blocking_pids "
    "pg_sequence_last_value pg_show_all_file_settings pg_show_replication_origin_status "
    "pg_sleep pg_sleep_for pg_sleep_until pg_stat_clear_snapshot pg_stat_file "
    "pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched "
    "pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls "
    "pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time "
    "pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted "
    "pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated "
    "pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_newpage_updated "
    "pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated pg_stat_have_stats "
    "pg_table_size pg_tablespace_size pg_total_relation_size pg_xact_commit_timestamp "
    "pg_xact_commit_timestamp_origin pg_xact_status random random_normal "
    "suppress_redundant_updates_trigger system timeofday tsvector_update_trigger "
    "tsvector_update_trigger_column txid_status uuidv4 uuidv7 ";

// They change something, but neither a table nor a setting: no cached answer can show it.
constexpr std::string_view volatile_harmless =
    "brin_desummarize_range brin_summarize_new_values brin_summarize_range "
    "gin_clean_pending_list lo_close lo_creat lo_create lo_export lo_from_bytea lo_open "
    "lo_put lo_truncate lo_truncate64 lo_unlink lowrite nextval pg_advisory_lock "
    "pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all "
    "pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared "
    "pg_cancel_backend pg_copy_logical_replication_slot "
    "pg_copy_physical_replication_slot pg_create_logical_replication_slot "
    "pg_create_physical_replication_slot pg_create_restore_point pg_drop_replication_slot "
    "pg_export_snapshot pg_log_backend_memory_contexts pg_log_standby_snapshot "
    "pg_logical_emit_message pg_logical_slot_get_binary_changes pg_logical_slot_get_changes "
    "pg_notify pg_replication_slot_advance pg_rotate_logfile pg_rotate_logfile_old "
    "pg_stat_force_next_flush pg_stat_reset pg_stat_reset_replication_slot "
    "pg_stat_reset_shared pg_stat_reset_single_function_counters "
    "pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats "
    "pg_switch_wal pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock "
    "pg_try_advisory_xact_lock_shared pg_wal_replay_pause pg_wal_replay_resume setseed setval ";

constexpr std::string_view session_locks =
    "pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared ";

// Extensions whose compiled functions compute, index or read. moddatetime, autoinc and
// insert_username are triggers that edit only the row at hand. Left out: tablefunc and xml2 (they
// run SQL given as text), isn (a setting of its own), dblink, refint, file_fdw.
constexpr std::string_view harmless_libraries =
    "_int autoinc btree_gin btree_gist citext cube dict_int dict_xsyn earthdistance "
    "fuzzystrmatch hstore insert_username lo ltree moddatetime pageinspect pg_buffercache "
    "pg_freespacemap pg_stat_statements pg_trgm pg_visibility pgcrypto pgrowlocks pgstattuple "
    "postgis-3 seg tcn tsm_system_rows tsm_system_time unaccent uuid-ossp vector ";

// Immutable ones that an application calls all day, for the moments before a catalog is there.
constexpr std::string_view common_immutable =
    "abs array_agg array_length array_position avg bool_and bool_or btrim ceil ceiling "
    "char_length coalesce count dense_rank floor greatest json_array_elements "
    "jsonb_array_elements least left lower lpad ltrim max md5 min mod nullif position rank "
    "regexp_replace replace right round row_number rpad rtrim split_part strpos substr sum "
    "trim trunc unnest upper ";

}  // namespace

bool reads_clock(std::string_view name, int arguments) noexcept {
    return contains(clock_readers, name) || (name == "age" && arguments == 1);
}

bool depends_on_key_only(std::string_view name) noexcept { return contains(key_only, name); }

builtin_effect effect_of_builtin(std::string_view name) noexcept {
    if (name == "set_config") return builtin_effect::settings;
    if (name == "pg_reload_conf") return builtin_effect::reload;
    if (contains(volatile_readers, name)) return builtin_effect::none;
    return contains(volatile_harmless, name) ? builtin_effect::harmless : builtin_effect::unknown;
}

bool locks_for_session(std::string_view name) noexcept { return contains(session_locks, name); }

bool seeds_session(std::string_view name) noexcept { return name == "setseed"; }

bool reads_own_sequences(std::string_view name) noexcept {
    return name == "currval" || name == "lastval";
}

bool is_harmless_library(std::string_view library, std::string_view name) noexcept {
    if (name == "set_limit") return false;  // pg_trgm: sets pg_trgm.similarity_threshold
    if (const auto slash = library.rfind('/'); slash != std::string_view::npos) {
        library.remove_prefix(slash + 1);
    }
    return contains(harmless_libraries, library);
}

bool is_well_known_reader(std::string_view name) noexcept {
    return contains(common_immutable, name) || contains(key_only, name) ||
           contains(clock_readers, name);
}

bool is_catalog_type(std::string_view name) noexcept {
    return name.starts_with("reg") && name != "regconfig" && name != "regdictionary";
}

}  // namespace pgsidecar::policy
