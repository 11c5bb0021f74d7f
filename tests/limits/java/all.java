import com.google.gson.JsonObject;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** All cases in one program, since each program is compiled. */
public class Main {
    private static final List<Object> HOG = new ArrayList<>();

    static {
        switch (System.getenv().getOrDefault("TROUBLE", "")) {
            case "time":
                while (HOG.isEmpty()) {
                    Thread.onSpinWait();
                }
                break;
            case "exit":
                Runtime.getRuntime().halt(1);
                break;
            case "memory":
                while (HOG.size() < 1000) {
                    HOG.add(new byte[16 << 20]);
                }
                break;
            default:
        }
    }

    public static JsonObject main(JsonObject args) throws Exception {
        JsonObject result = new JsonObject();
        String name = args.get("case").getAsString();
        boolean calm = args.has("calm");
        if (args.has("exit")) {
            Runtime.getRuntime().halt(1);
        }
        if (name.equals("logs")) {
            for (int i = 0; i < 40_000 && !calm; i++) {
                System.out.println("x".repeat(99));
            }
            System.out.println("last");
        }
        if (calm || name.equals("logs") || name.equals("result")) {
            result.addProperty("host", Files.readString(Path.of("/etc/hostname")).trim());
            if (name.equals("result") && !calm) {
                result.addProperty("text", "ü".repeat(1 << 20));
            }
            return result;
        }
        switch (name) {
            case "memory":
                for (int i = 0; i < 64; i++) {
                    HOG.add(new byte[16 << 20]);
                }
                break;
            case "memory_heap":
                for (int i = 0; i < 1 << 24; i++) {
                    HOG.add(Map.of("i", i, "text", "object " + i));
                }
                break;
            case "memory_child":
                result.addProperty("killed", new ProcessBuilder("tail", "/dev/zero").start().waitFor() == 128 + 9);
                break;
            case "exit":
                Runtime.getRuntime().halt(1);
                break;
            case "time":
                while (HOG.isEmpty()) {
                    Thread.onSpinWait();
                }
                break;
            case "pids":
                result.addProperty("count", threads());
                break;
            case "open_files":
                openFiles(result);
                break;
            case "file_size":
                fileSize(result);
                break;
            default:
                disk(result, name.equals("disk_deleted"));
        }
        return result;
    }

    private static String code(IOException error) {
        Map<String, String> known = Map.of(
            "Too many open files", "EMFILE", "File too large", "EFBIG", "No space left on device", "ENOSPC");
        String text = error.getMessage();
        return known.entrySet().stream().filter(entry -> text.contains(entry.getKey())).findFirst()
            .map(Map.Entry::getValue).orElse(text);
    }

    /** Processes come with a thread each; threads alone show the same limit. */
    private static int threads() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        try {
            while (threads.size() < 500) {
                Thread thread = new Thread(null, () -> {
                    try {
                        Thread.sleep(60_000);
                    } catch (InterruptedException end) {
                        // It is time.
                    }
                }, "sleeper", 64 << 10);
                thread.setDaemon(true);
                thread.start();
                threads.add(thread);
            }
        } catch (OutOfMemoryError noMore) {
            // That is what Java calls it.
        }
        for (Thread thread : threads) {
            thread.interrupt();
            thread.join();
        }
        return threads.size();
    }

    private static void openFiles(JsonObject result) throws IOException {
        List<FileInputStream> files = new ArrayList<>();
        IOException refused = null;
        while (files.size() < 2000 && refused == null) {
            try {
                files.add(new FileInputStream("/dev/null"));
            } catch (IOException thrown) {
                refused = thrown;
            }
        }
        for (FileInputStream file : files) {
            file.close();
        }
        result.addProperty("count", files.size());
        result.addProperty("code", refused == null ? "" : code(refused));
    }

    private static void fileSize(JsonObject result) throws IOException {
        byte[] block = new byte[1 << 20];
        int count = 0;
        Path path = Files.createTempFile("large", "");
        try (FileOutputStream file = new FileOutputStream(path.toFile())) {
            while (count < 200 << 20) {
                file.write(block);
                count += block.length;
            }
        } catch (IOException refused) {
            result.addProperty("code", code(refused));
        }
        Files.delete(path);
        result.addProperty("count", count);
    }

    private static void disk(JsonObject result, boolean deleted) throws InterruptedException {
        byte[] block = new byte[8 << 20];
        try {
            for (int i = 0; i < 40; i++) {
                Path path = Files.createTempFile("file", "");
                FileOutputStream file = new FileOutputStream(path.toFile());
                HOG.add(file);
                if (deleted) {
                    Files.delete(path);
                }
                file.write(block);
            }
        } catch (IOException refused) {
            result.addProperty("code", code(refused));
            return;
        }
        Thread.sleep(50_000);
    }
}
