// timeout.js for JDBC, with a thread for each session. Java runs it from source.
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public class Timeout {
    static final List<String> took = Collections.synchronizedList(new ArrayList<>());
    static volatile int strays;

    public static void main(String[] args) throws Exception {
        int sessions = Integer.parseInt(args[4]), count = Integer.parseInt(args[5]);
        try (Connection c = connect(args)) {  // a virtual machine is slow to begin with
            cancelled(c, "SELECT 2");
        }
        ExecutorService threads = Executors.newFixedThreadPool(sessions);
        List<Future<?>> running = new ArrayList<>();
        for (int i = 0; i < sessions; i++) running.add(threads.submit(() -> session(args, count)));
        threads.shutdown();
        for (Future<?> f : running) f.get();
        System.out.printf(Locale.ROOT, "{\"took_ms\": %s, \"strays\": %d}%n", took, strays);
    }

    static Connection connect(String[] args) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", args[2]);
        p.setProperty("options", "-c pgsidecar.tenant=" + args[3]);
        return DriverManager.getConnection(
            "jdbc:postgresql://127.0.0.1:" + args[0] + "/" + args[1] + "?sslmode=disable", p);
    }

    static Void session(String[] args, int count) throws SQLException {
        try (Connection c = connect(args)) {
            for (int i = 0; i < count; i++) {
                double ms = cancelled(c, "SELECT pg_sleep(30)");
                if (ms >= 0) took.add(String.format(Locale.ROOT, "%.3f", ms));
                if (cancelled(c, "SELECT 2") >= 0) noteStray();
            }
        }
        return null;
    }

    static synchronized void noteStray() {
        strays++;
    }

    // Milliseconds until it was cancelled; negative: it was not.
    static double cancelled(Connection c, String sql) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            long began = System.nanoTime();
            try (ResultSet r = s.executeQuery()) {
                return -1;
            } catch (SQLException e) {
                if (!"57014".equals(e.getSQLState())) throw e;
                return (System.nanoTime() - began) / 1e6;
            }
        }
    }
}
