import com.google.gson.JsonObject;

public class Main {
    private static final String AT_LOAD = System.getenv("SOME_VAR");

    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        result.addProperty("at_load", AT_LOAD);
        result.addProperty("SOME_VAR", System.getenv("SOME_VAR"));
        result.addProperty("ANOTHER_VAR", System.getenv("ANOTHER_VAR"));
        return result;
    }
}
