import com.google.gson.JsonObject;
import java.util.List;

class Main {
    private static final List<String> NAMES = List.of("api_host", "api_key", "namespace", "action_name",
            "action_version", "activation_id", "transaction_id", "deadline");

    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        NAMES.forEach(name -> result.addProperty(name, System.getenv("__OW_" + name.toUpperCase())));
        return result;
    }
}
