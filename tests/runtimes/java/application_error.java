import com.google.gson.JsonObject;

public class Main {
    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        result.addProperty("error", "sorry");
        return result;
    }
}
