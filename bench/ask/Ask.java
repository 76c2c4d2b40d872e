// ask.py for JDBC. Arguments: PORT DATABASE USER TENANT SECONDS. Java runs it from source.
import java.sql.*;
import java.util.Properties;

public class Ask {
    static long answered, refused;
    static double took;

    public static void main(String[] args) throws Exception {
        ask(args, args[3] + "-warm", 0.5);  // a virtual machine is slow to begin with
        ask(args, args[3], Double.parseDouble(args[4]));
        System.out.printf(java.util.Locale.ROOT,
            "{\"answered\": %d, \"refused\": %d, \"seconds\": %.6f}%n", answered, refused, took);
    }

    static void ask(String[] args, String tenant, double seconds) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", args[2]);
        p.setProperty("options", "-c pgsidecar.tenant=" + tenant);
        String url = "jdbc:postgresql://127.0.0.1:" + args[0] + "/" + args[1] + "?sslmode=disable";
        answered = refused = 0;
        try (Connection c = DriverManager.getConnection(url, p);
             PreparedStatement s = c.prepareStatement("SELECT ?::int")) {
            long began = System.nanoTime(), last = began;
            while (System.nanoTime() < began + seconds * 1e9) {
                s.setInt(1, (int) answered);
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    answered++;
                    last = System.nanoTime();
                } catch (SQLException e) {
                    if (!"55P03".equals(e.getSQLState())) throw e;
                    refused++;
                }
            }
            took = (last - began) / 1e9;
        }
    }
}
