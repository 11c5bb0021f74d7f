import com.google.gson.JsonObject;

public class Main {
    private static int count;

    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        result.addProperty("count", ++count);
        return result;
    }
}
