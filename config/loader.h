// One load, layer by layer: begin with the defaults, read each layer in its order, then finish().
// What single layers hold is checked where it stands, also when a later layer replaces it; what
// only the whole can show (config/check.h) is checked once, in finish().
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/schema.h"
#include "config/tree.h"

namespace pgsidecar::config {

inline constexpr std::size_t max_problems = 100;
inline constexpr std::string_view override_name = "--set";
// Says what else to read; no setting itself.
inline constexpr std::string_view include_key = "include_appsettings";

// Where a key was given, and how its file calls it.
struct place {
    std::string file{};
    int line = 0;
    int column = 0;
    std::string shown{};   // in messages: "tenants.tiers[0].burst", as its own file counts
    bool foreign = false;  // `shown` is a key of appsettings.json
};

class loader {
  public:
    explicit loader(std::string main_file) : main_file_{std::move(main_file)} {}

    struct include {
        std::string path;  // as it was written
        place where;
    };
    // One YAML file over what there is so far.
    std::optional<include> read(std::string_view yaml, const std::string& file);
    void read_appsettings(std::string_view json, const std::string& file);
    void read_override(std::string_view text, std::string_view source = override_name);

    void report(const place& where, std::string key, std::string reason);
    void note(const place& where, std::string key, std::string reason);
    void unreadable() { readable_ = false; }  // a layer is missing: the whole would mislead
    [[nodiscard]] load_result finish();

  private:
    // A tier as the layers so far have it. The same key later replaces; a new one is added.
    struct given_key {
        node key, value;
        place where;
    };
    struct given_tier {
        std::string name;
        place where;
        bool is_map = true;
        std::vector<given_key> keys;
    };

    [[nodiscard]] static bool is_list(const slot& s) noexcept;
    [[nodiscard]] static bool is_section(std::string_view name) noexcept;
    [[nodiscard]] static std::string shown_key(const std::string& key);
    [[nodiscard]] static std::string_view name_of(const node& item) noexcept;
    [[nodiscard]] std::vector<std::string> tier_names() const;

    template <class Owner>
    void map(const node& n, const std::string& path, std::span<const key_row<Owner>> rows,
             Owner& owner);
    void section_map(const node& n, const std::string& name, const place& where);
    void unknown(const place& where, const std::string& full, const std::string& schema);
    void unknown_override(const std::string& key);
    [[nodiscard]] bool item_override(const std::string& key, std::string_view written);
    [[nodiscard]] std::optional<node> override_value(const std::string& key,
                                                     std::string_view written, const slot& target);
    void rule_override(const std::string& key, std::string_view name, std::string_view leaf,
                       std::string_view written);
    void tier_override(const std::string& key, std::string_view name, std::string_view leaf,
                       std::string_view written);
    void included(const node& n, const place& where);
    template <class Owner>
    void store(const node& n, const std::string& key, const place& where, const key_row<Owner>& row,
               Owner& owner);
    template <class Owner>
    void texts(const node& n, const std::string& key, const place& where, const key_row<Owner>& row,
               std::vector<std::string>& out);
    template <class Item>
    void items(const node& n, const std::string& key, const place& where, bounds range,
               std::vector<Item>& out);
    void inherit(const node&, std::vector<policy::cache_rule>&) {}
    void inherit(const node& n, std::vector<policy::tier>& out);
    void layer(const node&, const std::vector<policy::cache_rule>&) {}
    void layer(const node& n, const std::vector<policy::tier>&);
    void merge_keys(const node& item, std::size_t number, given_tier& into) const;

    void apply_tiers();
    void forget_places(const std::string& prefix);
    void default_ttl();
    [[nodiscard]] std::string shown(const std::string& key) const;
    void combinations();
    void complete();
    [[nodiscard]] std::map<std::string, std::string> origins() const;
    void tier_origins(const std::vector<std::string>& read,
                      std::map<std::string, std::string>& out);

    std::string main_file_;
    std::string file_;  // being read, or override_name
    settings value_;
    std::vector<problem> problems_;
    std::vector<problem> notes_;
    std::map<std::string, place> places_;  // of every key that was given
    std::vector<given_tier> tiers_;
    std::optional<include> include_;
    bool readable_ = true;
};

}  // namespace pgsidecar::config
