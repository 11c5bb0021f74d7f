import com.google.gson.JsonObject;

/** What is run once while the image is built, so that the classes of a run are known. */
public class Sample {
    public static JsonObject main(JsonObject arguments) {
        JsonObject result = new JsonObject();
        result.addProperty("greeting", "Hello stranger!");
        return result;
    }
}
