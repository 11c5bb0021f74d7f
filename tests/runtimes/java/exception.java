import com.google.gson.JsonObject;

public class Main {
    public static JsonObject main(JsonObject args) {
        throw new IllegalStateException("nooooo");
    }
}
