import com.google.gson.JsonObject;

public class Main {
    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        result.addProperty("left", Long.parseLong(System.getenv("__OW_DEADLINE")) - System.currentTimeMillis());
        return result;
    }
}
