<%
' The banner on classic-ASP pages, and what the visitor chose. It goes with web.config beside it: the site's own host
' hands the service's paths on, and sites.toml says embed = "same-host". Save it as /consent.asp, include it at the top
' of a page and call it before </body>; docs/embed.md shows both lines. It writes ASCII only, so any code page will do.

Const CONSENT_SERVICE = "http://127.0.0.1:8000"
Const CONSENT_KEPT = 300   ' seconds: how long what the service says of a site is kept in memory
Const CONSENT_REST = 30    ' seconds: how long the service is left alone after it did not answer
Const CONSENT_LAPSES = 180 ' days: how long a choice holds

' Write the banner, or only its script where the visitor has chosen. Without the service the page goes on without it.
Sub ConsentBanner(site)
  Dim answer, page
  If ConsentChoice(site) = "" Then
    page = Request.ServerVariables("URL")
    If Request.ServerVariables("QUERY_STRING") <> "" Then page = page & "?" & Request.ServerVariables("QUERY_STRING")
    answer = ConsentAnswer("/v1/sites/" & site & "/insert?page=" & Server.URLEncode(page))
  End If
  If answer = "" Then answer = "<script async src=""/taskbar.js"" data-site=""" & site & """></script>"
  Response.Write ConsentAscii(answer)
End Sub

' Whether a purpose of the site may run now: by the visitor's choice, else by what holds without one.
Function ConsentAllows(site, purpose)
  Dim choice
  choice = ConsentChoice(site)
  If choice <> "" Then
    ConsentAllows = InStr("+" & choice & "+", "+" & purpose & ".1+") > 0
  Else
    ConsentAllows = InStr("," & ConsentAsked(site) & ",", ",""" & purpose & """:true,") > 0
  End If
End Function

' What the visitor chose, such as embeds.0+statistics.1, while it holds for what the site asks now; else "".
' From the raw header: Request.Cookies would turn each + into a space.
Function ConsentChoice(site)
  Dim found, made, notice
  ConsentChoice = ""
  notice = ConsentFirst("""notice"":\s*""([0-9a-f]{8})", ConsentAbout(site))
  If notice = "" Then Exit Function
  found = ConsentFirst("(?:^|;)\s*consent=" & notice & "~(\d{4}-\d\d-\d\d~[a-z0-9.+-]+)~", _
    Request.ServerVariables("HTTP_COOKIE"))
  If found = "" Then Exit Function
  made = DateSerial(CInt(Mid(found, 1, 4)), CInt(Mid(found, 6, 2)), CInt(Mid(found, 9, 2)))
  If DateDiff("d", made, Date()) >= CONSENT_LAPSES Or DateDiff("d", made, Date()) < -1 Then Exit Function
  found = Mid(found, 12)
  If ConsentWithout("\.[01]", found) = ConsentWithout("""|:true|:false", Replace(ConsentAsked(site), ",", "+")) Then
    ConsentChoice = found
  End If
End Function

' What the site asks, each with what holds without a choice, such as "embeds":false,"statistics":true.
Function ConsentAsked(site)
  ConsentAsked = ConsentWithout("\s", ConsentFirst("""purposes"":\s*\{([^}]*)\}", ConsentAbout(site)))
End Function

' What the service says of the site to browsers with this privacy signal, as JSON text; "" while it does not answer.
Function ConsentAbout(site)
  Dim age, name, said
  name = site & "." & Request.ServerVariables("HTTP_SEC_GPC") & "." & Request.ServerVariables("HTTP_DNT")
  If Len(name) > Len(site) + 4 Then name = site & ".1.1"
  age = CONSENT_KEPT
  If Not IsEmpty(Application("consent.at." & name)) Then age = DateDiff("s", Application("consent.at." & name), Now())
  If age >= CONSENT_KEPT Then
    said = ConsentAnswer("/v1/sites/" & site & "/config")
    If said <> "" Then
      Application.Lock
      Application("consent.about." & name) = said
      Application("consent.at." & name) = Now()
      Application.Unlock
    End If
  End If
  ConsentAbout = Application("consent.about." & name) & ""
End Function

' The service's answer in the visitor's language, with the visitor's privacy signal; "" without one within a second.
Function ConsentAnswer(path)
  Dim http, name
  ConsentAnswer = ""
  If Not IsEmpty(Application("consent.down")) Then
    If DateDiff("s", Application("consent.down"), Now()) < CONSENT_REST Then Exit Function
  End If
  On Error Resume Next
  Set http = Server.CreateObject("MSXML2.ServerXMLHTTP.6.0")
  http.setTimeouts 200, 500, 500, 1000
  http.open "GET", CONSENT_SERVICE & path, False
  For Each name In Array("Accept-Language", "Sec-GPC", "DNT")
    If Request.ServerVariables("HTTP_" & Replace(UCase(name), "-", "_")) <> "" Then
      http.setRequestHeader name, Request.ServerVariables("HTTP_" & Replace(UCase(name), "-", "_"))
    End If
  Next
  http.send
  If Err.Number <> 0 Then
    Application("consent.down") = Now()
  ElseIf http.status = 200 Then
    ConsentAnswer = http.responseText
  End If
  On Error Goto 0
End Function

' The first group of the first match, or "".
Function ConsentFirst(pattern, text)
  Dim expression, matches
  Set expression = New RegExp
  expression.Pattern = pattern
  Set matches = expression.Execute(text & "")
  ConsentFirst = ""
  If matches.Count > 0 Then ConsentFirst = matches(0).SubMatches(0)
End Function

' The text without what the pattern finds.
Function ConsentWithout(pattern, text)
  Dim expression
  Set expression = New RegExp
  expression.Pattern = pattern
  expression.Global = True
  ConsentWithout = expression.Replace(text, "")
End Function

' HTML with every character beyond ASCII as a reference; two halves of one beyond 65535 are put together.
Function ConsentAscii(html)
  Dim at, code, high, written
  For at = 1 To Len(html)
    code = AscW(Mid(html, at, 1)) And 65535
    If code < 128 Then
      written = written & Chr(code)
    ElseIf code >= 55296 And code < 56320 Then
      high = code
    ElseIf code >= 56320 And code < 57344 Then
      written = written & "&#" & ((high - 55296) * 1024 + code - 56320 + 65536) & ";"
    Else
      written = written & "&#" & code & ";"
    End If
  Next
  ConsentAscii = written
End Function
%>
