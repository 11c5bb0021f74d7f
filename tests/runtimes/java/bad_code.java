import com.google.gson.JsonObject;

public class Main {
    public static JsonObject main(JsonObject args) {
        return new JsonObject();
