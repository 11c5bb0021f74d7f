import com.google.gson.JsonObject;

public class Main {
    public static JsonObject main(JsonObject args) {
        String text = "x".repeat(90);
        for (int line = 0; line < args.get("lines").getAsInt(); line++) {
            System.out.println("out " + text);
            System.err.println("err " + text);
        }
        return args;
    }
}
