// Runs named cases and reports each as "ok NAME" or "not ok NAME: why".
internal static class Harness
{
    public static int Failures { get; private set; }

    public static async Task Test(string name, Func<Task> body)
    {
        try
        {
            await body().WaitAsync(TimeSpan.FromSeconds(120));
            Console.WriteLine("ok " + name);
        }
        catch (Exception e)
        {
            Failures++;
            Console.WriteLine("not ok " + name + ": " + e.ToString().ReplaceLineEndings(" | "));
        }
    }

    public static void Same<T>(T got, T want)
    {
        if (!EqualityComparer<T>.Default.Equals(got, want))
            throw new InvalidOperationException($"got {got}, wanted {want}");
    }

    public static async Task Throws<TException>(Func<Task> body, Func<TException, bool> matches)
        where TException : Exception
    {
        try
        {
            await body();
        }
        catch (TException e) when (matches(e))
        {
            return;
        }
        throw new InvalidOperationException("no " + typeof(TException).Name);
    }
}
