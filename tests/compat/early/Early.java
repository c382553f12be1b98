import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.Arrays;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Sends each request of the standard input with Java's own client; support.py says how it is written. */
final class Early {
    private static final Path CA = Path.of(System.getenv("KMS_RESTAPI_CA"));
    private static final char[] PASSWORD = "okmsd".toCharArray();

    public static void main(String[] args) throws Exception {
        var version = HttpClient.Version.valueOf(args[0]);
        var patience = Duration.ofSeconds(Long.parseLong(System.getenv("PATIENCE")));
        var enough = Integer.parseInt(System.getenv("ENOUGH"));
        var known = client(version, true);
        var stranger = client(version, false);
        var failures = 0;
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (var line = input.readLine(); line != null; line = input.readLine()) {
            if (failures >= enough) {
                System.out.println("-\tnot tried any more");
                continue;
            }
            var fields = line.split("\t");
            var wanted = Integer.parseInt(fields[0]);
            var client = fields[3].equals("1") ? known : stranger;
            var request = HttpRequest.newBuilder(URI.create(System.getenv("KMS_RESTAPI_ENDPOINT") + fields[2]))
                    .method(fields[1], body(Integer.parseInt(fields[4]), fields[5].equals("1")))
                    .timeout(patience)
                    .build();
            try {
                var answer = client.send(request, BodyHandlers.ofString());
                if (answer.version() != version) throw new IllegalStateException("answered over " + answer.version());
                if (answer.statusCode() != wanted) failures++;
                System.out.println(answer.statusCode() + "\t" + answer.body().replaceAll("\\s+", " "));
            } catch (Exception error) {
                failures++;
                System.out.println("-\t" + error.toString().replaceAll("\\s+", " "));
            }
        }
        // The client's threads would live on.
        System.exit(0);
    }

    private static BodyPublisher body(int size, boolean chunked) {
        var bytes = new byte[size];
        Arrays.fill(bytes, (byte) 'x');
        if (size == 2) bytes = new byte[] {'{', '}'};
        var body = bytes;
        return chunked
                ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
                : BodyPublishers.ofByteArray(body);
    }

    private static HttpClient client(HttpClient.Version version, boolean certificate) throws Exception {
        var authorities = KeyStore.getInstance(KeyStore.getDefaultType());
        authorities.load(null, null);
        try (InputStream pem = Files.newInputStream(CA)) {
            authorities.setCertificateEntry("region", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        KeyManager[] keys = null;
        if (certificate) {
            var own = KeyStore.getInstance(CA.resolveSibling("client.p12").toFile(), PASSWORD);
            var managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            managers.init(own, PASSWORD);
            keys = managers.getKeyManagers();
        }
        var tls = SSLContext.getInstance("TLS");
        tls.init(keys, trust.getTrustManagers(), null);
        return HttpClient.newBuilder().version(version).sslContext(tls).build();
    }
}
