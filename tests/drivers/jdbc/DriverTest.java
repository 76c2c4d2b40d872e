// What a Java application does with the JDBC driver, through the program. Arguments: port, database.
// Prints one "ok NAME" or "not ok NAME: why" for each case; the exit code is the number of failures.
import java.io.StringReader;
import java.sql.*;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class DriverTest {
    interface Case { void run(Connection c) throws Exception; }

    static String url;
    static int failures = 0;

    static Connection open(String... more) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", "postgres");
        for (int i = 0; i < more.length; i += 2) p.setProperty(more[i], more[i + 1]);
        return DriverManager.getConnection(url, p);
    }

    static void test(String name, Case body, String... properties) {
        try (Connection c = open(properties)) {
            body.run(c);
            System.out.println("ok " + name);
        } catch (Throwable t) {
            failures++;
            System.out.println("not ok " + name + ": " + t);
        }
    }

    static void same(Object got, Object want) {
        if (!String.valueOf(want).equals(String.valueOf(got)))
            throw new AssertionError("got " + got + ", wanted " + want);
    }

    static String one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getString(1);
        }
    }

    static void run(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) { s.execute(sql); }
    }

    public static void main(String[] args) throws Exception {
        url = "jdbc:postgresql://127.0.0.1:" + args[0] + "/" + args[1] + "?sslmode=disable";
        try (Connection c = open()) {
            run(c, "CREATE TABLE med (id serial PRIMARY KEY, name text, dose numeric(6,2), at timestamptz)");
            run(c, "INSERT INTO med (name, dose, at) SELECT 'med ' || i, i * 0.5, "
                + "timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' FROM generate_series(1, 500) i");
        }
        test("prepared statement past the server-prepare threshold", c -> {
            try (PreparedStatement p = c.prepareStatement("SELECT name, dose, at FROM med WHERE id = ?")) {
                for (int turn = 0; turn < 20; turn++) {
                    p.setInt(1, 7);
                    try (ResultSet r = p.executeQuery()) {
                        r.next();
                        same(r.getString(1), "med 7");
                        same(r.getBigDecimal(2), "3.50");
                        same(r.getTimestamp(3).getTime(), 1704092400000L);
                    }
                }
            }
        });
        for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"})
            test("preferQueryMode " + mode, c -> {
                for (int turn = 0; turn < 12; turn++) same(one(c, "SELECT count(*) FROM med"), "500");
            }, "preferQueryMode", mode);
        test("fetch size uses a portal in a transaction", c -> {
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.setFetchSize(17);
                int n = 0;
                try (ResultSet r = s.executeQuery("SELECT id FROM med ORDER BY id")) {
                    while (r.next()) same(r.getInt(1), ++n);
                }
                same(n, 500);
            }
            c.commit();
        });
        test("max rows are a limit of Execute", c -> {
            try (Statement s = c.createStatement()) {
                s.setMaxRows(5);
                int n = 0;
                try (ResultSet r = s.executeQuery("SELECT id FROM med ORDER BY id")) { while (r.next()) n++; }
                same(n, 5);
            }
            try (Statement s = c.createStatement();
                 ResultSet r = s.executeQuery("SELECT id FROM med ORDER BY id")) {
                int n = 0;
                while (r.next()) n++;
                same(n, 500);
            }
        });
        test("batch with generated keys", c -> {
            try (PreparedStatement p = c.prepareStatement("INSERT INTO med (name) VALUES (?)",
                    Statement.RETURN_GENERATED_KEYS)) {
                for (int i = 0; i < 300; i++) { p.setString(1, "batch"); p.addBatch(); }
                same(p.executeBatch().length, 300);
                int keys = 0;
                try (ResultSet r = p.getGeneratedKeys()) { while (r.next()) keys++; }
                same(keys, 300);
            }
            same(one(c, "SELECT count(*) FROM med WHERE name = 'batch'"), "300");
            run(c, "DELETE FROM med WHERE name = 'batch'");
            same(one(c, "SELECT count(*) FROM med WHERE name = 'batch'"), "0");
        });
        test("rollback and savepoint", c -> {
            c.setAutoCommit(false);
            run(c, "UPDATE med SET name = 'x' WHERE id = 1");
            Savepoint s = c.setSavepoint();
            try { run(c, "SELECT 1/0"); } catch (SQLException e) { same(e.getSQLState(), "22012"); }
            c.rollback(s);
            same(one(c, "SELECT name FROM med WHERE id = 1"), "x");
            c.rollback();
            same(one(c, "SELECT name FROM med WHERE id = 1"), "med 1");
        });
        test("query timeout cancels", c -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                s.execute("SELECT pg_sleep(60)");
                throw new AssertionError("not cancelled");
            } catch (SQLException e) {
                same(e.getSQLState(), "57014");
            }
            same(one(c, "SELECT 5"), "5");
        });
        test("COPY both ways", c -> {
            CopyManager m = c.unwrap(PGConnection.class).getCopyAPI();
            run(c, "CREATE TEMP TABLE t (i int, v text)");
            same(m.copyIn("COPY t FROM STDIN", new StringReader("1\tone\n2\ttwo\n")), 2L);
            java.io.StringWriter w = new java.io.StringWriter();
            m.copyOut("COPY t TO STDOUT", w);
            same(w, "1\tone\n2\ttwo\n");
        });
        test("metadata", c -> {
            try (ResultSet r = c.getMetaData().getColumns(null, "public", "med", null)) {
                int n = 0;
                while (r.next()) n++;
                same(n, 4);
            }
        });
        test("read your own writes through two connections", c -> {
            try (Connection d = open()) {
                for (int i = 0; i < 100; i++) {
                    run(c, "UPDATE med SET name = 'turn " + i + "' WHERE id = 2");
                    same(one(d, "SELECT name FROM med WHERE id = 2"), "turn " + i);
                    same(one(c, "SELECT name FROM med WHERE id = 2"), "turn " + i);
                }
            }
        });
        System.exit(failures);
    }
}
