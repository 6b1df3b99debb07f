// Check on your own server what a visitor allowed: reads the consent service's tokens and permits. .NET 6 or newer.
//
//     ConsentClient.Verify("permit", cookie.Split('~')[3], "kent", keys, DateTimeOffset.UtcNow)
//
// `keys` are the keys of the service's secrets/signing.keys, the second word of each line. docs/clients.md says the rest.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

public sealed record Consent(string Notice, IReadOnlyDictionary<string, bool> Decisions, string Time,
    string Method, string Lang, string Id, bool Explicit);

public static class ConsentClient
{
    private static readonly TimeSpan Validity = TimeSpan.FromDays(180);
    private const int Longest = 2048; // characters
    private static readonly Regex Shape = new(@"\A([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\z");

    // What a text of that use ("token" or "permit") says while it holds at `now`, else null, which is no consent.
    public static Consent? Verify(string use, string text, string site, IEnumerable<string> keys, DateTimeOffset now)
    {
        Match shape = Shape.Match(text.Length <= Longest ? text : "");
        if (!shape.Success) return null;
        string payload = shape.Groups[1].Value;
        byte[] given = Encoding.ASCII.GetBytes(shape.Groups[2].Value);
        if (!keys.Any(key => CryptographicOperations.FixedTimeEquals(Signed(use, payload, site, key), given))) return null;
        using JsonDocument read = JsonDocument.Parse(Decoded(payload));
        JsonElement body = read.RootElement;
        string time = body[2].GetString()!;
        DateTimeOffset made = DateTimeOffset.Parse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
        if (now >= made + Validity + TimeSpan.FromDays(use == "permit" ? 1 : 0)) return null;
        var decisions = body[1].EnumerateObject().ToDictionary(each => each.Name, each => each.Value.GetInt32() == 1);
        string Text(int at) => use == "token" && body.GetArrayLength() > at ? body[at].GetString()! : "";
        bool isExplicit = use == "token" || body[3].GetInt32() == 1;
        return new Consent(body[0].GetString()!, decisions, time, Text(3), Text(4), Text(5), isExplicit);
    }

    private static byte[] Signed(string use, string payload, string site, string key)
    {
        byte[] derived = Hmac(Encoding.UTF8.GetBytes(key), $"consent.{use}.{site}");
        string text = Convert.ToBase64String(Hmac(derived, payload)).TrimEnd('=').Replace('+', '-').Replace('/', '_');
        return Encoding.ASCII.GetBytes(text);
    }

    private static byte[] Hmac(byte[] key, string text)
    {
        using var made = new HMACSHA256(key);
        return made.ComputeHash(Encoding.UTF8.GetBytes(text));
    }

    private static byte[] Decoded(string text)
    {
        string whole = text.Replace('-', '+').Replace('_', '/');
        return Convert.FromBase64String(whole.PadRight((whole.Length + 3) / 4 * 4, '='));
    }
}
